/** Settings of the HTTP port for hosting platforms and web pages. */

import { z } from 'zod';

const route = z
  .string()
  .regex(/^\/[^?#\s{}]+$/, 'expected a path such as /predict')
  .meta({ title: 'a path such as /predict' });

export const WEB_SETTINGS = {
  healthRoute: route
    .optional()
    .describe(
      'Another path of the HTTP port that answers 200 when the server is ready, for platforms that choose it. Vertex AI sets `AIP_HEALTH_ROUTE`, which counts where nothing else is given.',
    ),
  predictRoute: route
    .optional()
    .describe(
      'Path of the HTTP port that takes rows as `{"instances": […]}`, for platforms that choose it. Vertex AI sets `AIP_PREDICT_ROUTE`, which counts where nothing else is given.',
    ),
  corsOrigins: z
    .array(z.string().regex(/^(\*|https?:\/\/[^/\s,]+)$/, 'expected SCHEME://HOST[:PORT], or *'))
    .meta({ title: 'origins of web pages, as SCHEME://HOST[:PORT], or *' })
    .default([])
    .describe(
      'Web pages that may call the REST API from a browser, by their origins: `https://app.example.com`. `*` allows every page. Paths that change the server are never for pages of other origins. Empty: only pages of the HTTP port itself may call it.',
    ),
};
