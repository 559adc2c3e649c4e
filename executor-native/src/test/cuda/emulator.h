// Runs kernels on a CPU, unchanged, where device.h is compiled by g++ and not by nvcc.
//
// A thread of the system runs one block at a time; each CUDA thread is a fiber with its own stack,
// which runs until a barrier or a collective of its warp.
//
//   SBEMU_ORDER=fwd|rev|rand:N    which thread that can go on goes next, and the order of blocks;
//                                 if set, one block runs at a time
//   SBEMU_CPASYNC=late|early      when asynchronous copies land
//   SBEMU_THREADS=N               blocks at a time; else one on each core
//
// Dynamic shared memory is filled with numbers that are none before each block, and what lies
// behind it is checked after; static shared arrays hold what the block before left. Lanes that meet
// at different collectives, lanes outside of masks, deadlocks and misaligned wide loads abort with
// the place. -fsanitize=thread finds races (barriers and __syncwarp order memory, nothing else
// does; run under setarch -R), -fsanitize=address accesses out of bounds, -fsanitize=alignment
// misaligned ones. __launch_bounds__ is not checked, nor what is slow on a device.
#pragma once
#include "emulator/matrices.h"
#include "emulator/reductions.h"
