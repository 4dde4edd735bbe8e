/* runs */
#define H_UPDATE {dg_str s={0};for(size_t i=0;i<5;i++)sink+=m->host->get_str(b,(size_t)-1-i,S("completion"),&s);sink+=m->host->get_str(b,0,S("completion"),NULL);sink+=m->host->get_str(NULL,0,S("completion"),&s);sink+=m->host->get_str(b,0,(dg_str){"\xff",1},&s);sink+=m->host->get_str(b,0,(dg_str){0,0},&s);}
#include "base.h"
