/** Files of other frameworks, which are taken for ONNX models: what each is, by its first bytes or its name, and where its export is described. */

/** A format, with the section of docs/export.md that leads from it to ONNX. */
interface ForeignFormat {
  readonly text: string;
  readonly section: string;
  /** Names that such files have. Absent: another format's name says more. */
  readonly names?: RegExp;
  /** By the first bytes, in Latin-1. Absent: they do not show it. */
  readonly isMet?: (head: string) => boolean;
}

/** Whether the first bytes of a file, in Latin-1, are one of these. */
export const startsWith =
  (...starts: readonly string[]) =>
  (head: string): boolean =>
    starts.some((start) => head.startsWith(start));

/** Names are looked at last, and in this order. */
const FORMATS: readonly ForeignFormat[] = [
  {
    text: 'is a TensorFlow Lite model',
    section: 'tensorflow-lite',
    names: /\.tflite$/,
    isMet: (head) => head.startsWith('TFL3', 4),
  },
  {
    text: 'is the graph of a TensorFlow SavedModel',
    section: 'tensorflow-and-keras',
    names: /^saved_model\.pb(txt)?$/,
  },
  { text: 'is a graph of TensorFlow', section: 'tensorflow-and-keras', names: /\.pb$/ },
  {
    text: 'is an HDF5 file, as Keras saves models',
    section: 'tensorflow-and-keras',
    names: /\.(h5|hdf5)$/,
    isMet: startsWith('\x89HDF'),
  },
  { text: 'is a model of Keras', section: 'tensorflow-and-keras', names: /\.keras$/ },
  {
    text: 'is a safetensors file, which has weights and no graph',
    section: 'hugging-face',
    names: /\.safetensors$/,
    isMet: (head) => /^\{\s*"/.test(head.slice(8)),
  },
  {
    text: 'is a GGUF file, a language model of llama.cpp',
    section: 'what-has-no-way-to-onnx',
    names: /\.gguf$/,
    isMet: startsWith('GGUF'),
  },
  {
    text: 'is an engine of TensorRT, which runs only on the GPU that it was built for',
    section: 'tensorrt',
    names: /\.(plan|engine|trt)$/,
    isMet: startsWith('ftrt', 'ptrt'),
  },
  {
    text: 'is a model of LightGBM',
    section: 'xgboost-and-lightgbm',
    names: /\.lgbm?$/,
    isMet: (head) => /^tree\r?\nversion=/.test(head),
  },
  {
    text: 'is a model of XGBoost',
    section: 'xgboost-and-lightgbm',
    names: /\.(ubj|xgb|bst)$/,
    // JSON, and binary JSON, where a length is before the key.
    isMet: (head) => /^\{\s*"learner"/.test(head) || /^\{L[\s\S]{1,9}learner/.test(head),
  },
  {
    text: 'is a zip archive, as PyTorch saves its checkpoints (unpack one that holds an ONNX model)',
    section: 'pytorch',
    isMet: startsWith('PK\x03\x04'),
  },
  { text: 'is a checkpoint of PyTorch', section: 'pytorch', names: /^pytorch_model.*\.bin$|\.(pt|pth|pt2|ckpt|mar)$/ },
  {
    text: 'is a pickle of Python, as scikit-learn and PyTorch save models',
    section: 'scikit-learn',
    names: /\.(pkl|pickle|joblib)$/,
    isMet: startsWith('\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'),
  },
  { text: 'is an array of numpy', section: '', names: /\.np[yz]$/, isMet: startsWith('\x93NUMPY') },
];

/** Describes a file by its first bytes; `undefined` where they do not show its format. */
export function foreignFormat(head: string, name: string): string | undefined {
  const found = FORMATS.find(({ isMet }) => isMet?.(head) === true);
  if (found === undefined) return undefined;
  return (found.names === undefined ? foreignName(name) : undefined) ?? described(found);
}

/** Describes a file by its name, where its contents say nothing. */
export function foreignName(name: string): string | undefined {
  return foreignAmong([name])?.what;
}

/** The file of a folder that says most of what the folder is, and what it is. */
export function foreignAmong(names: readonly string[]): { readonly name: string; readonly what: string } | undefined {
  for (const format of FORMATS) {
    const name = names.find((each) => format.names?.test(each) === true);
    if (name !== undefined) return { name, what: described(format) };
  }
  return undefined;
}

function described({ text, section }: ForeignFormat): string {
  return `${text}: export the model to ONNX (docs/export.md${section === '' ? '' : `#${section}`})`;
}
