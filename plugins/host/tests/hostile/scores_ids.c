/* runs */
#define CHANGE for(int i=0;i<20;i++){static char t[20][8];sprintf(t[i],"p%d",i);ids[i]=(dg_str){t[i],strlen(t[i])};}s.sample_ids=ids;
#include "scores.h"
