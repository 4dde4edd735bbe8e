/* runs */
#define H_UPDATE for(int i=0;i<256;i++)fprintf(stderr,"\033[31m\033]0;owned\007 %c\n",i)
#include "base.h"
