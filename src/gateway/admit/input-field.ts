/** Names a field of an input for a refusal, such as `inputs['image'].shape`. */
export function inputField(name: string, field?: 'contents' | 'datatype' | 'shape'): string {
  return `inputs['${name}']${field === undefined ? '' : `.${field}`}`;
}
