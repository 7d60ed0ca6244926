/** The calls about how requests are spread, answered from what shadows were seen to do. */

import type { ShadowReportMessage, TrafficApi } from '../accept/traffic-service.ts';
import { InferError } from '../errors.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { ShadowAccount, ShadowLedger } from '../rollout/shadow-ledger.ts';

export function trafficApi(models: ModelTable, ledger: ShadowLedger): TrafficApi {
  return {
    shadowReports: (model) => {
      if (model !== '' && !models.names().includes(model)) {
        throw new InferError('model_not_found', `Request for unknown model: '${model}' is not found`);
      }
      return ledger.accounts(model).map(reportOf);
    },
  };
}

function reportOf(account: ShadowAccount): ShadowReportMessage {
  const { model, primary, shadow, equal, different, incomparable } = account;
  const comparisons = Math.max(1, equal + different + incomparable);
  return {
    model,
    primary,
    shadow,
    equal,
    different,
    incomparable,
    max_absolute_difference: account.absolute,
    max_relative_difference: account.relative,
    rows_agreeing: account.rowsAgreeing,
    rows_disagreeing: account.rowsDisagreeing,
    primary_mean_ms: account.primaryMs / comparisons,
    shadow_mean_ms: account.shadowMs / comparisons,
    failures: Object.fromEntries(account.failures),
    shed: Object.fromEntries(account.shed),
  };
}
