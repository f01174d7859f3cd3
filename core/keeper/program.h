/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_PROGRAM_H
#define ARROW_CORE_KEEPER_PROGRAM_H

/* The program of a keeper's Arrow, process 1 of the guest: its signals and its streams. */

#include "core/keeper/state.h"

/*
 * Sends a signal (1 to 64) by hand, which lets a paused program go on. After SIGKILL the VM is
 * ended if the program does not. Nothing happens while no program runs.
 */
void program_signal(struct keeper *k, uint32_t signal);

/*
 * Asks the program to end, and kills it after a while. Without a program the run ends.
 *   signal:  0 for the Arrow's own
 *   seconds: until SIGKILL; ARROW_FOREVER for never
 */
void program_stop(struct keeper *k, uint32_t signal, uint32_t seconds);

/* Bytes of its stdout (fd 1) or stderr (fd 2) came: for the log and the commands. */
void program_take_output(struct keeper *k, unsigned int fd, const uint8_t *data, size_t size);

/* Sends it what the commands gave for its stdin, as far as the guest has room. */
void program_send_input(struct keeper *k);

/* Returns credit for its output, as far as every command has passed it on. */
void program_grant(struct keeper *k);

#endif
