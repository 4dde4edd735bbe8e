/* says: `len` 21, and 20 samples were shown */
#define CHANGE s.len=21;m->host->scores(m->host->ctx,at);s.len=20;
#include "scores.h"
