/* says: name both `prompts` and `sample_ids` */
#define CHANGE for(int i=0;i<20;i++)ids[i]=S("p1");s.prompts=q;s.sample_ids=ids;
#include "scores.h"
