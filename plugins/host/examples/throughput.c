/* The simplest metric over columns: the mean length of answers. `throughput.rs` beside this measures with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driftgauge_metric.h"

struct dg_metric { const dg_host *host; double bytes; unsigned long n; };

static void release(dg_buf *buf) { free(buf->owner); buf->owner = NULL; }

static dg_status give(dg_buf *buf, const char *text) {
  size_t len = strlen(text);
  char *copy = malloc(len + 1);
  if (copy == NULL) return DG_INTERNAL;
  memcpy(copy, text, len + 1);
  buf->ptr = (uint8_t *)copy;
  buf->len = len;
  buf->release = release;
  buf->owner = copy;
  return DG_OK;
}

static dg_status manifest(dg_buf *json) {
  return give(json, "{\"id\":\"throughput\",\"version\":\"1\",\"title\":\"Length\",\"description\":\"Mean length in bytes.\","
                    "\"required_fields\":[\"completion\"],\"config_schema\":{}}");
}

static dg_status create(const dg_host *host, dg_str config, dg_metric **out, dg_buf *error) {
  (void)config; (void)error;
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return DG_INTERNAL;
  (*out)->host = host;
  return DG_OK;
}

static dg_status update(dg_metric *metric, const dg_batch *batch, dg_buf *error) {
  size_t n = metric->host->len(batch);
  dg_str field = {"completion", 10};
  dg_str *texts = malloc(n * sizeof *texts);
  int8_t *found = malloc(n);
  (void)error;
  if (texts != NULL && found != NULL && metric->host->column_str(batch, field, texts, found) == DG_PRESENT) {
    for (size_t row = 0; row < n; row++) {
      if (found[row] == DG_PRESENT) { metric->bytes += (double)texts[row].len; metric->n++; }
    }
  }
  free(texts);
  free(found);
  return DG_OK;
}

static dg_status finish(dg_metric *metric, dg_buf *result, dg_buf *error) {
  char text[256];
  (void)error;
  snprintf(text, sizeof text,
           "{\"schema\":1,\"scalars\":[{\"id\":\"throughput\",\"title\":\"Length\",\"condition\":\"default\",\"value\":%.17g,"
           "\"n\":%lu,\"ci\":null,\"primary\":true}]}",
           metric->n ? metric->bytes / (double)metric->n : 0.0, metric->n);
  return give(result, text);
}

static void destroy(dg_metric *metric) { free(metric); }

static const dg_metric_vtable table = {sizeof table, DG_ABI_MINOR, manifest, create, update, finish, destroy, NULL};
static const dg_metric_vtable *const tables[] = {&table};
static const dg_plugin plugin = {sizeof plugin, DG_ABI_MINOR, 1, 0, tables};
const dg_plugin *dg_plugin_v1(uint32_t host_abi_minor) { (void)host_abi_minor; return &plugin; }
