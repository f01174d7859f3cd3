/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_DROP_H
#define ARROW_CORE_KEEPER_DROP_H

/* Gives up for good what neither the keeper nor what it starts needs: capabilities, system calls.
 */
void keeper_drop(void);

#endif
