/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_STATE_H
#define ARROW_CORE_INSTANCE_STATE_H

/*
 * What became of an Arrow so far: state.json in its folder. Only the holder of the Arrow's lock
 * writes it: the keeper, or a command that starts, settles or removes an Arrow without one. An
 * Arrow without state.json was created and never started.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"
#include "util/io.h"

#define ARROW_STATE_TEXT 1024

/* Docker's words for it. */
enum arrow_life {
	ARROW_LIFE_CREATED = 0,
	ARROW_LIFE_RUNNING,
	ARROW_LIFE_PAUSED,
	ARROW_LIFE_RESTARTING,
	ARROW_LIFE_EXITED,
	ARROW_LIFE_DEAD,
};

struct arrow_state {
	enum arrow_life life;
	int keeper_pid, vm_pid; /* 0 when nothing runs */
	int exit_code;
	bool oom;          /* killed for want of memory */
	bool stdin_closed; /* when it was saved last: no other client can have its stdin */
	bool manual_stop;  /* by `arrow stop` or `arrow kill`: unless-stopped respects it */
	uint32_t restarts; /* by the restart policy, since it was started */
	char started[TIME_TEXT], finished[TIME_TEXT]; /* or "" */
	char error[ARROW_STATE_TEXT]; /* why it ended, where that is not its program */
	char engine[32], accel[16], kernel[80], image[80]; /* of the last start */
	char health[16];                                   /* or "": none is checked */
	uint32_t health_failures;                          /* in a row */
	json_t *health_log;                                /* the last results, or NULL; owned */
	json_t *network; /* what the network gave it, or NULL; owned */
	char cache[16];  /* what its guest keeps of its volumes: docs/volumes.md; or "" */
	uint32_t cards;  /* of its VM, those that are on no network too */
};

/* "created", "running"... */
const char *arrow_life_text(enum arrow_life life);

/* Whether its keeper must live: running, paused or restarting. */
bool arrow_life_active(enum arrow_life life);

/*
 * Reads the state.json in a folder. Without one the state is "created".
 * Errors: -EINVAL for what is no state: as life then stands ARROW_LIFE_DEAD.
 */
int arrow_state_read(int dir_fd, struct arrow_state *state) ARROW_MUST_CHECK;

/* Only the life of the state in a folder, for those who look at many. */
enum arrow_life arrow_state_read_life(const char *dir);

/* As JSON, the content of state.json. Owned by the caller, NULL when out of memory. */
json_t *arrow_state_json(const struct arrow_state *state) ARROW_MUST_CHECK;

/*
 * Makes the reserve, if it is not there: room for one state, should the disk be full by then.
 * Returns 0 or a negative errno.
 */
int arrow_state_reserve(int dir_fd) ARROW_MUST_CHECK;

/*
 * Writes state.json, atomically. Where the disk is full it takes the reserve, and when that is used
 * up it overwrites the state that is there. Returns 0 or a negative errno.
 */
int arrow_state_write(int dir_fd, const struct arrow_state *state) ARROW_MUST_CHECK;

void arrow_state_release(struct arrow_state *state);

#endif
