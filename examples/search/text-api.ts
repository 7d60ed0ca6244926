/** The two endpoints that a search needs, as any HTTP client calls them. */

const TEXTS_OF_A_CALL = 16;

export class TextApi {
  readonly #url: string;

  /** @param address of the HTTP port, such as `127.0.0.1:8002` */
  constructor(address: string) {
    this.#url = `http://${address}/v1/`;
  }

  /** A vector of the length 1 for each text. */
  async embed(texts: readonly string[]): Promise<number[][]> {
    const vectors: number[][] = [];
    // Each call has a deadline of its own, so the number of all texts does not matter.
    for (let from = 0; from < texts.length; from += TEXTS_OF_A_CALL) {
      const body = { model: 'minilm', input: texts.slice(from, from + TEXTS_OF_A_CALL) };
      const { data } = await this.#post<{ data: { embedding: number[] }[] }>('embeddings', body);
      vectors.push(...data.map(({ embedding }) => embedding));
    }
    return vectors;
  }

  /** The documents by their relevance, the best first. */
  async rerank(query: string, documents: readonly string[]): Promise<{ index: number; relevance_score: number }[]> {
    const body = { model: 'reranker', query, documents };
    return (await this.#post<{ results: { index: number; relevance_score: number }[] }>('rerank', body)).results;
  }

  async #post<Answer>(path: string, body: object): Promise<Answer> {
    const response = await fetch(this.#url + path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Answer;
  }
}
