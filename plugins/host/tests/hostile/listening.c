/* says: took longer than 8 s to take a batch and was killed */
#define H_UPDATE m->host->log(m->host->ctx,2,S("waiting"));while(!m->host->cancelled(m->host->ctx))usleep(1000);return DG_CANCELLED
#include "base.h"
