/* runs */
#define H_UPDATE {dg_str s={0};m->host->get_str(b,0,(dg_str){"completion",(size_t)1<<40},&s);}
#include "base.h"
