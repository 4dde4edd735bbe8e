/* runs */
#define CHANGE static struct{dg_scores s;char more[64];}l;l.s=s;l.s.struct_size=sizeof l;at=&l.s;
#include "scores.h"
