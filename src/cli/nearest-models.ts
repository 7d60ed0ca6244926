import { type InferenceClient, InferenceError } from '../client/inference-client.ts';
import { suggestion } from '../suggestion.ts';

/** Names beyond these would hide the sentence that they follow. */
const MAX_LISTED = 12;

/** The end of the sentence that a server has no such model: the nearest name it has, or the versions of the model. */
export async function nearestModels(client: InferenceClient, model: string): Promise<string> {
  const index = await client.repositoryIndex().catch((error: unknown) => {
    // Servers may refuse their index, and the sentence stands without it.
    if (error instanceof InferenceError) return [];
    throw error;
  });
  const versions = index.filter(({ name, version }) => name === model && version !== '');
  if (versions.length > 0) return `; versions of it are ${versions.map(({ version }) => version).join(', ')}`;
  const names = [...new Set(index.map(({ name }) => name))];
  const text = suggestion(model, names);
  return names.length > MAX_LISTED && !text.includes('did you mean')
    ? `; tensorgate models lists the ${names.length} models of the server`
    : text;
}
