/* says: more than 4096 lists of scores */
#define CHANGE for(int i=0;i<5000;i++)m->host->scores(m->host->ctx,at);
#include "scores.h"
