/** Whether ONNX Runtime opens a model with a provider here: tried in a runner, because this process loads no native code. */

import { messageOf } from '../../../error-message.ts';
import { Mailbox } from '../../../worker/mailbox.ts';
import type { ExecutionProvider, SessionOptions } from '../../../worker/protocol.ts';
import { LoadError, RunnerProcess } from '../../dispatch/runner-process.ts';
import { MODEL_CONFIG } from '../../repository/config/model-config.ts';
import { sessionOptions } from '../../repository/config/session-options.ts';
import { diagnostics } from '../diagnostics.ts';

/** A model of one Identity node: input and output FP32 [1]. Operator set 13. */
export const PROBE_MODEL = Buffer.from(
  'CAc6TAoZCgVpbnB1dBIGb3V0cHV0IghJZGVudGl0eRIEdGVzdFoTCgVpbnB1dBIKCggIARIECgIIAWIUCgZvdXRwdXQSCgoICAESBAoCCAFCBAoAEA0=',
  'base64',
);

export interface TrialOptions {
  readonly env: NodeJS.ProcessEnv;
  /** For the probe model too: it is the one place to which a server has to be able to write. */
  readonly mailboxDirectory: string;
  readonly loadLimitMs: number;
}

/** `accepted`, or ONNX Runtime's reason why not. Never rejects. */
export type Trial = { readonly kind: 'accepted' } | { readonly kind: 'refused'; readonly reason: string };

export async function tryProvider(provider: ExecutionProvider, options: TrialOptions): Promise<Trial> {
  const { env, mailboxDirectory, loadLimitMs } = options;
  const name = `doctor ${provider}`;
  const log = new RunnerLog(name);
  const runner = RunnerProcess.start(name, env);
  let mailbox: Mailbox | undefined;
  // As nameless as a mailbox: nothing is left behind, whatever ends this process.
  let model: Mailbox | undefined;
  try {
    mailbox = Mailbox.create(mailboxDirectory);
    model = Mailbox.create(mailboxDirectory);
    model.writeSync([PROBE_MODEL], 0);
    const options: SessionOptions = sessionOptions(MODEL_CONFIG.parse({}));
    const spec = { modelPath: model.path, providers: [provider], strictProviders: false, deviceId: 0, options };
    await runner.load(1, mailbox.path, spec, loadLimitMs);
    return { kind: 'accepted' };
  } catch (error) {
    // The binding's text says that a library cannot be loaded, and only standard error says which.
    const said = error instanceof LoadError ? await log.firstError() : undefined;
    return { kind: 'refused', reason: said ?? messageOf(error) };
  } finally {
    mailbox?.close();
    model?.close();
    runner.kill('the trial is over');
    await runner.ended;
    log.close();
  }
}

/** Output written before a failed load may arrive shortly after the failure. */
const LOG_DELAY_MS = 1_000;

/** ONNX Runtime's errors on the standard error of one runner. */
class RunnerLog {
  readonly #first = Promise.withResolvers<string>();
  readonly #unsubscribe: () => void;

  constructor(runner: string) {
    const prefix = `runner ${runner}: `;
    this.#unsubscribe = diagnostics.notice.subscribe(({ text }) => {
      const reason = text.startsWith(prefix) ? reasonIn(text.slice(prefix.length)) : undefined;
      if (reason !== undefined) this.#first.resolve(reason);
    });
  }

  /** `undefined` where there is none. */
  async firstError(): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), LOG_DELAY_MS);
    });
    const first = await Promise.race([this.#first.promise, late]);
    clearTimeout(timer);
    return first;
  }

  close(): void {
    this.#unsubscribe();
  }
}

/** The message of an error line of ONNX Runtime, without time, source line and code; `undefined` for other lines. */
export function reasonIn(line: string): string | undefined {
  const message = /\[E:onnxruntime:[^\]]*\] ?(.*)$/.exec(line)?.[1];
  return message?.replace(/^.*\[ONNXRuntimeError\] : \d+ : \w+ : /, '');
}
