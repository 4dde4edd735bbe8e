/* runs */
#define H_UPDATE {struct rlimit r={0,0};setrlimit(RLIMIT_FSIZE,&r);}
#include "base.h"
