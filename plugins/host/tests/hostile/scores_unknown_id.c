/* says: name the sample id `p99`, which was not shown */
#define CHANGE for(int i=0;i<20;i++)ids[i]=S("p99");s.sample_ids=ids;
#include "scores.h"
