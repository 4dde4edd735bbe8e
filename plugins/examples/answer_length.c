/* answer_length: how many words a model answers with, as a metric plugin in C99.
 *
 *   cc -std=c99 -shared -fPIC -I plugins/protocol/include -o libanswer_length.so plugins/examples/answer_length.c
 *
 * and in a spec:   metrics: {length: {plugin: ./libanswer_length.so}}
 *
 * It keeps a few bytes per prompt and condition, and gives them as scores: so the number has an interval, and models are
 * compared prompt by prompt. Completions that were not made count as missing, not as empty. plugins/README.md explains the calls,
 * the fields and the JSON. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driftgauge_metric.h"

#define MOST_CONDITIONS 64

/* One prompt: the words of its answers, how many these are, and whether it was asked at all. */
typedef struct {
  double words;
  uint32_t answers, asked;
} prompt;

typedef struct {
  char *name;
  prompt *prompts; /* by the field `prompt`: 0, 1, 2... */
  size_t n;
} condition;

struct dg_metric {
  const dg_host *host;
  condition conditions[MOST_CONDITIONS];
  size_t n;
};

/* --- buffers: made here, so freed here ---------------------------------------------------------------------------- */

static void release(dg_buf *buf) {
  free(buf->owner);
  buf->owner = NULL;
}

static void give(dg_buf *buf, char *text) {
  buf->ptr = (uint8_t *)text;
  buf->len = text ? strlen(text) : 0;
  buf->release = release;
  buf->owner = text;
}

/* Text that grows; after a failed allocation everything else is ignored and `text` is NULL. */
typedef struct {
  char *text;
  size_t len, room;
} writer;

static void put(writer *to, const char *bytes, size_t len) {
  if (to->text == NULL) return;
  if (to->len + len + 1 > to->room) {
    size_t room = 2 * (to->len + len + 1);
    char *larger = realloc(to->text, room);
    if (larger == NULL) {
      free(to->text);
      to->text = NULL;
      return;
    }
    to->text = larger;
    to->room = room;
  }
  memcpy(to->text + to->len, bytes, len);
  to->len += len;
  to->text[to->len] = '\0';
}

static void put_text(writer *to, const char *text) { put(to, text, strlen(text)); }

/* A JSON string. */
static void put_string(writer *to, const char *text, size_t len) {
  put(to, "\"", 1);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    char escaped[8];
    if (c == '"' || c == '\\') {
      escaped[0] = '\\';
      escaped[1] = (char)c;
      put(to, escaped, 2);
    } else if (c < 0x20) {
      snprintf(escaped, sizeof escaped, "\\u%04x", c);
      put(to, escaped, 6);
    } else {
      put(to, text + i, 1);
    }
  }
  put(to, "\"", 1);
}

/* An error: what is wrong, what to do, and (unless empty) the sample it happened on. */
static dg_status fail(dg_buf *error, dg_status status, const char *message, const char *help, dg_str sample) {
  writer json = {malloc(256), 0, 256};
  put_text(&json, "{\"message\":");
  put_string(&json, message, strlen(message));
  put_text(&json, ",\"help\":");
  put_string(&json, help, strlen(help));
  if (sample.len > 0) {
    put_text(&json, ",\"sample_id\":");
    put_string(&json, sample.ptr, sample.len);
  }
  put_text(&json, "}");
  give(error, json.text);
  return status;
}

/* --- reading samples ---------------------------------------------------------------------------------------------- */

static dg_str field(const char *name) {
  dg_str text;
  text.ptr = name;
  text.len = strlen(name);
  return text;
}

static int is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static unsigned long words_in(dg_str text) {
  unsigned long words = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (!is_space(text.ptr[i]) && (i == 0 || is_space(text.ptr[i - 1]))) words++;
  }
  return words;
}

static condition *find(dg_metric *metric, dg_str name) {
  for (size_t i = 0; i < metric->n; i++) {
    condition *known = &metric->conditions[i];
    if (strlen(known->name) == name.len && memcmp(known->name, name.ptr, name.len) == 0) return known;
  }
  if (metric->n == MOST_CONDITIONS) return NULL;
  condition *fresh = &metric->conditions[metric->n];
  fresh->name = malloc(name.len + 1);
  if (fresh->name == NULL) return NULL;
  memcpy(fresh->name, name.ptr, name.len);
  fresh->name[name.len] = '\0';
  metric->n++;
  return fresh;
}

/* The place of a prompt, made if it is new; NULL without memory. */
static prompt *at(condition *here, size_t number) {
  if (number >= here->n) {
    size_t n = 2 * (number + 1);
    prompt *larger = realloc(here->prompts, n * sizeof *larger);
    if (larger == NULL) return NULL;
    memset(larger + here->n, 0, (n - here->n) * sizeof *larger);
    here->prompts = larger;
    here->n = n;
  }
  return &here->prompts[number];
}

/* --- the metric --------------------------------------------------------------------------------------------------- */

static dg_status manifest(dg_buf *json) {
  writer text = {malloc(512), 0, 512};
  put_text(&text,
           "{\"id\":\"answer_length\",\"version\":\"1.0.0\",\"title\":\"Answer length\","
           "\"description\":\"How many words a model answers with.\","
           "\"required_fields\":[\"completion\"],"
           "\"config_schema\":{\"type\":\"object\",\"additionalProperties\":false}}");
  give(json, text.text);
  return DG_OK;
}

static dg_status create(const dg_host *host, dg_str config, dg_metric **out, dg_buf *error) {
  dg_str nowhere = {NULL, 0};
  /* No configuration arrives as {}. */
  if (config.len > 2) {
    return fail(error, DG_BAD_CONFIG, "`answer_length` has nothing to configure", "remove `config`", nowhere);
  }
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return fail(error, DG_INTERNAL, "out of memory", "free some", nowhere);
  (*out)->host = host;
  return DG_OK;
}

static dg_status update(dg_metric *metric, const dg_batch *batch, dg_buf *error) {
  const dg_host *host = metric->host;
  size_t samples = host->len(batch);
  for (size_t row = 0; row < samples; row++) {
    dg_str id = {NULL, 0}, name = {NULL, 0}, reason = {NULL, 0}, answer = {NULL, 0};
    int64_t number = 0;
    host->get_str(batch, row, field("sample_id"), &id);
    if (host->get_str(batch, row, field("condition"), &name) != DG_PRESENT) {
      return fail(error, DG_BAD_DATA, "a sample has no condition", "look at the recording", id);
    }
    condition *here = find(metric, name);
    if (here == NULL) {
      return fail(error, DG_BAD_DATA, "there are more than 64 conditions", "split the evaluation", id);
    }
    if (host->get_i64(batch, row, field("prompt"), &number) != DG_PRESENT || number < 0) {
      return fail(error, DG_INTERNAL, "the harness is too old to number prompts", "take a newer one", id);
    }
    prompt *one = at(here, (size_t)number);
    if (one == NULL) return fail(error, DG_INTERNAL, "out of memory", "free some", id);
    one->asked++;
    if (host->get_str(batch, row, field("finish_reason"), &reason) == DG_PRESENT && reason.len == 5 &&
        memcmp(reason.ptr, "error", 5) == 0) {
      continue;
    }
    host->get_str(batch, row, field("completion"), &answer);
    one->words += (double)words_in(answer);
    one->answers++;
  }
  return DG_OK;
}

/* The mean of all prompts with an answer, of which the harness is given each; their number, or -1 when that fails. */
static long mean(const dg_metric *metric, const condition *here, double *out) {
  const dg_host *host = metric->host;
  double *values = malloc((here->n + 1) * sizeof *values), sum = 0;
  uint32_t *numbers = malloc((here->n + 1) * sizeof *numbers);
  uint8_t *present = malloc(here->n + 1);
  dg_scores scores = {sizeof scores, 0, {NULL, 0}, {NULL, 0}, 0, NULL, NULL, NULL, NULL};
  long answered = 0;
  int taken = 0;
  if (values != NULL && numbers != NULL && present != NULL) {
    for (size_t number = 0; number < here->n; number++) {
      const prompt *one = &here->prompts[number];
      if (one->asked == 0) continue;
      present[scores.len] = one->answers > 0;
      numbers[scores.len] = (uint32_t)number;
      values[scores.len] = one->answers > 0 ? one->words / (double)one->answers : 0;
      sum += values[scores.len];
      answered += one->answers > 0;
      scores.len++;
    }
    scores.id = field("words");
    scores.condition = field(here->name);
    scores.values = values;
    scores.present = present;
    scores.prompts = numbers;
    /* An older harness has a shorter structure. */
    taken = host->struct_size >= offsetof(dg_host, scores) + sizeof host->scores &&
            host->scores(host->ctx, &scores) == DG_OK;
  }
  free(values);
  free(numbers);
  free(present);
  *out = answered > 0 ? sum / (double)answered : 0;
  return taken ? answered : -1;
}

static dg_status finish(dg_metric *metric, dg_buf *result, dg_buf *error) {
  dg_str nowhere = {NULL, 0};
  writer json = {malloc(1024), 0, 1024};
  put_text(&json, "{\"schema\":1,\"scalars\":[");
  for (size_t i = 0; i < metric->n; i++) {
    const condition *here = &metric->conditions[i];
    char number[64];
    double value;
    long n = mean(metric, here, &value);
    if (n < 0) {
      free(json.text);
      return fail(error, DG_INTERNAL, "the harness did not take the scores", "take a newer one", nowhere);
    }
    if (i > 0) put_text(&json, ",");
    put_text(&json, "{\"id\":\"words\",\"title\":\"Words per answer\",\"condition\":");
    put_string(&json, here->name, strlen(here->name));
    /* Undefined is null, never NaN. */
    if (n == 0) {
      snprintf(number, sizeof number, "null");
    } else {
      snprintf(number, sizeof number, "%.17g", value);
    }
    put_text(&json, ",\"value\":");
    put_text(&json, number);
    snprintf(number, sizeof number, ",\"n\":%ld", n);
    put_text(&json, number);
    put_text(&json, ",\"ci\":null,\"unit\":\"words\",\"direction\":\"none\",\"primary\":true,"
                    "\"formula\":\"mean over prompts of the number of words between white space, per answer\"}");
  }
  put_text(&json, "]}");
  give(result, json.text);
  return json.text == NULL ? DG_INTERNAL : DG_OK;
}

static void destroy(dg_metric *metric) {
  for (size_t i = 0; i < metric->n; i++) {
    free(metric->conditions[i].name);
    free(metric->conditions[i].prompts);
  }
  free(metric);
}

static const dg_metric_vtable vtable = {sizeof(dg_metric_vtable), DG_ABI_MINOR, manifest, create, update,
                                        finish,                   destroy,      NULL};
static const dg_metric_vtable *const metrics[] = {&vtable};
static const dg_plugin plugin = {sizeof(dg_plugin), DG_ABI_MINOR, 1, 0, metrics};

const dg_plugin *dg_plugin_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &plugin;
}
