/** Rules for dynamic batching, sequences and ensembles, which exclude each other in part. */

import { has, isText, type Remark, type Sink } from './config-remark.ts';
import type { ModelConfig } from './model-config.ts';

export function checkBatching(config: ModelConfig, content: unknown, { refuse, warn }: Sink): void {
  const { dynamic_batching: dynamic, max_batch_size: most } = config;
  const oldest = config.sequence_batching?.oldest;
  const lists = [
    { path: ['dynamic_batching', 'preferred_batch_size'], sizes: dynamic.preferred_batch_size },
    { path: ['sequence_batching', 'oldest', 'preferred_batch_size'], sizes: oldest?.preferred_batch_size ?? [] },
  ];
  for (const { path, sizes } of lists) {
    const large = sizes.findIndex((size) => most !== undefined && size > most);
    if (large >= 0) {
      refuse([...path, large], `preferred_batch_size ${sizes[large]} is above max_batch_size, which is ${most}`);
    }
  }
  if (most === 0 && has(content, 'dynamic_batching')) {
    warn(['dynamic_batching'], 'dynamic_batching joins nothing: max_batch_size is 0; its queue policy counts');
  }
  if (dynamic.preserve_ordering) {
    const text = 'preserve_ordering has no effect: a stream is answered in order anyway, and other calls have none';
    warn(['dynamic_batching', 'preserve_ordering'], text);
  }
  const { priority_levels: levels, default_priority_level: level } = dynamic;
  if (levels > 0 && (level < 1 || level > levels)) {
    const text = `default_priority_level is ${level}, expected 1 to priority_levels, which is ${levels}`;
    refuse(['dynamic_batching', 'default_priority_level'], text);
  }
  if (levels === 0 && level !== 0) {
    const text = `default_priority_level is ${level}, but priority_levels is 0: set it, or remove this`;
    refuse(['dynamic_batching', 'default_priority_level'], text);
  }
  for (const key of Object.keys(dynamic.priority_queue_policy)) {
    if (Number(key) <= levels) continue;
    const text = `priority_queue_policy is of level ${key}, expected 1 to priority_levels, which is ${levels}`;
    refuse(['dynamic_batching', 'priority_queue_policy', key], text);
  }
}

/** Triton has the three in a `oneof`. */
export function checkScheduling(config: ModelConfig, content: unknown, { refuse, warn }: Sink): void {
  const { sequence_batching: sequences, ensemble_scheduling: ensemble } = config;
  if (sequences !== undefined || ensemble !== undefined) {
    const other = sequences === undefined ? 'ensemble_scheduling' : 'sequence_batching';
    const dynamic = has(content, 'dynamic_batching') ? (content['dynamic_batching'] as object) : {};
    // How long the queue of a stateful model may be has no other place.
    for (const field of Object.keys(dynamic)) {
      if (sequences !== undefined && field === 'default_queue_policy') continue;
      refuse(['dynamic_batching', field], `dynamic_batching.${field} has no meaning with ${other}: remove it`);
    }
  }
  if (sequences !== undefined) {
    if (sequences.direct !== undefined && sequences.oldest !== undefined) {
      refuse(['sequence_batching', 'direct'], 'direct and oldest exclude each other: keep one');
    }
    if (sequences.iterative_sequence === true) {
      const text = 'iterative sequences are of models that ask to be run again, which ONNX models do not';
      refuse(['sequence_batching', 'iterative_sequence'], text);
    }
    if (sequences.oldest?.preserve_ordering === true) {
      const text = 'preserve_ordering has no effect: the requests of a sequence are always answered in order';
      warn(['sequence_batching', 'oldest', 'preserve_ordering'], text);
    }
    if (config.response_cache?.enable === true) {
      refuse(['response_cache', 'enable'], 'answers of a sequence depend on its past: they cannot be cached');
    }
    checkStates(sequences, { refuse, warn });
  }
  if (config.tensorgate.padding !== undefined && (sequences !== undefined || ensemble !== undefined)) {
    const text =
      ensemble === undefined
        ? 'padding has no meaning with sequence_batching: padding would become part of the state of a sequence'
        : 'padding has no meaning with ensemble_scheduling: set it for the models of the steps';
    refuse(['tensorgate', 'padding'], text);
  }
  if (ensemble !== undefined) {
    if (sequences !== undefined) {
      refuse(['sequence_batching'], 'an ensemble keeps no sequences; the models of its steps may');
    }
    if (config.response_cache?.enable === true) {
      const text = 'what an ensemble answers changes with the models of its steps: enable the cache there';
      refuse(['response_cache', 'enable'], text);
    }
    if (config.instance_group.length > 0) {
      refuse(['instance_group'], 'an ensemble has no instances; its steps have');
    }
    if (has(content, 'default_model_filename') && content['default_model_filename'] !== '') {
      refuse(['default_model_filename'], 'an ensemble has no file of its own: remove it');
    }
    if (config.platform !== 'ensemble' && isText(config.platform)) {
      refuse(['platform'], `ensemble_scheduling is of the platform ensemble, got ${config.platform}`);
    }
    if ((ensemble.max_inflight_requests ?? 0) > 0) {
      const text =
        'max_inflight_requests has no effect: a step gets one request for each request of the ensemble; tensorgate.max_ensemble_requests bounds them';
      warn(['ensemble_scheduling', 'max_inflight_requests'], text);
    }
    for (const kind of ['input', 'output'] as const) {
      for (const [index, { name, reshape }] of config[kind].entries()) {
        if (reshape === undefined) continue;
        const text = `${kind} '${name}': an ensemble passes tensors on unchanged: remove reshape, or set it for the models of the steps`;
        refuse([kind, index, 'reshape'], text);
      }
    }
    for (const [index, { model_namespace }] of ensemble.step.entries()) {
      if (!isText(model_namespace)) continue;
      const text = 'a server has one repository and no namespaces: remove model_namespace';
      refuse(['ensemble_scheduling', 'step', index, 'model_namespace'], text);
    }
  } else if (config.platform === 'ensemble') {
    refuse(['platform'], 'platform is ensemble, but there is no ensemble_scheduling: add it, or leave platform out');
  }
}

function checkStates({ state: states }: NonNullable<ModelConfig['sequence_batching']>, { refuse, warn }: Sink): void {
  const seen = { input_name: new Set<string>(), output_name: new Set<string>() };
  for (const [index, state] of states.entries()) {
    const at = (field: string): Remark['path'] => ['sequence_batching', 'state', index, field];
    for (const field of ['input_name', 'output_name'] as const) {
      if (seen[field].has(state[field])) {
        refuse(at(field), `two states have the ${field} '${state[field]}': each has its own`);
      }
      seen[field].add(state[field]);
    }
    for (const field of ['use_same_buffer_for_input_output', 'use_growable_memory'] as const) {
      if (state[field] === true) warn(at(field), `${field} has no effect: states lie in the memory of the server`);
    }
  }
}
