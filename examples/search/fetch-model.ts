/** `node examples/search/fetch-model.ts FOLDER`: downloads the encoder of this example into a folder. */

import { fetchModel, SEARCH_MODEL } from './model-files.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('expected a folder to put the model into');
await fetchModel(SEARCH_MODEL, folder);
