/* runs */
#define H_UPDATE for(int i=0;i<300000;i++)m->host->log(m->host->ctx,1,S("warning from a plugin"))
#include "base.h"
