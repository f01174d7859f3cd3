/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_WORKER_H
#define ARROW_GUEST_WORKER_H

/*
 * The loader's workers: parts of it that run as processes of their own in the root, so that the
 * host can ask for files and figures where the image has no programs for that. They speak through
 * stdin and stdout and may block. All but `changes` run on any Linux, so tests run them there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "guest/stage.h"

/* A worker, by its name, or NULL. argv is as of a program. Returns the exit status. */
typedef int worker_main(const struct stage *stage, int argc, char **argv);
worker_main *worker_find(const char *name);

/*
 * send PATH [-L]: the file or tree at PATH as entries (entries.h) on fd `out`, named from the last
 * part of PATH on; with "/." at its end what is in it, named from "." on. -L: PATH itself is
 * followed when it is a link. Returns the exit status.
 */
int worker_send(int out, const char *path, bool follow);

/*
 * look PATH: where PATH is a link, an entry that tells of it, named "."; and if PATH leads
 * somewhere, one of that, named by its real path without the first slash. Both without data.
 */
int worker_look(int out, const char *path);

/*
 * receive DIR: takes entries from `in` into the directory DIR, which exists, and says END or
 * ERROR on `out`. Links lead out of DIR for none of them. Directories and other files do not
 * replace each other.
 */
int worker_receive(int in, int out, const char *dir);

/*
 * changes: what is at `upper` and differs from `lower`, as records of a letter (A, C, D), a
 * space, an absolute path and a NUL, sorted.
 */
int worker_changes(int out, int upper, int lower);

/* processes: a line each, in words; usage: a line a figure. See worker.c. */
int worker_processes(int out);
int worker_usage(int out, unsigned int interval_ms);

/* limit MILLICPUS PIDS: limits what runs, 0 for none; "0\n", or an errno. cgroup.c. */
int worker_limit(int out, uint32_t millicpus, uint32_t pids);

/*
 * network: takes the records of the network from `in`, and has the cards be so. Says 0, or 125 and
 * why not. network.c.
 */
int worker_network(const struct stage *stage, int in, int out);

/* send.c: writes an ERROR entry, "WHAT PATH: reason of errno", and returns 1. */
int entries_error(int out, const char *what, const char *path);

#endif
