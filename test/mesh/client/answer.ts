import { decodeInferResponse } from '../../../src/wire/infer-response.ts';
