/* runs */
#define H_UPDATE if(!fork()){sleep(25);_exit(0);}
#include "base.h"
