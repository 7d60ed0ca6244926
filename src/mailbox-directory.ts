import fs from 'node:fs';
import os from 'node:os';

const SHARED_MEMORY = '/dev/shm';

/** The directory for mailboxes unless another one is named: memory on Linux, otherwise the directory for temporary files. */
export const MAILBOX_DIRECTORY = fs.existsSync(SHARED_MEMORY) ? SHARED_MEMORY : os.tmpdir();
