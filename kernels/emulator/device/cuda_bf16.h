// Both short floats are in one file.
#pragma once
#include "cuda_fp16.h"
