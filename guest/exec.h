/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_EXEC_H
#define ARROW_GUEST_EXEC_H

/* Processes beside the program. */

#include "guest/loader.h"

/* The records of the process are whole: starts it. */
void exec_begin(struct loader *loader, uint32_t number);

/* Sends what is to be told of processes, and frees those of which all is told. */
void exec_pump(struct loader *loader);

#endif
