/* runs */
#define H_UPDATE if(chdir("/")){}umask(0777);setlocale(LC_ALL,"");
#include "base.h"
