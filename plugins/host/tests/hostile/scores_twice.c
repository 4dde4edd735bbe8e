/* says: scores `bad` of condition `default` appear twice */
#define CHANGE m->host->scores(m->host->ctx,at);
#include "scores.h"
