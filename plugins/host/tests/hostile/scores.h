/* A plugin that gives sound scores as arrays, but for a CHANGE of them. */
#define H_FINISH double v[20], zero = 0; uint8_t p[20]; uint32_t q[20]; dg_str ids[20]; (void)zero; (void)ids; \
  for (int i = 0; i < 20; i++) { v[i] = 20; p[i] = 1; q[i] = (uint32_t)i; } \
  dg_scores s = {sizeof s, 0, S("bad"), S("default"), 20, v, NULL, NULL, NULL}, *at = &s; \
  CHANGE m->host->scores(m->host->ctx, at)
#include "base.h"
