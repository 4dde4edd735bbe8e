/* runs */
#define H_UPDATE {dg_str s={0};m->host->get_str(b,0,S("completion"),&s);memset((void*)s.ptr,0x21,s.len);}
#include "base.h"
