/* says: name the sample id `\u{1b}[31m`, which was not shown */
#define CHANGE for(int i=0;i<20;i++)ids[i]=S("\033[31m");s.sample_ids=ids;
#include "scores.h"
