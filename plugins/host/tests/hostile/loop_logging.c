/* says: took longer than 8 s to take a batch and was killed */
#define H_UPDATE for(;;)m->host->log(m->host->ctx,2,S("still here"))
#include "base.h"
