/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SNAPSHOT_SAVED_H
#define ARROW_CORE_SNAPSHOT_SAVED_H

/*
 * A running Arrow that was saved to a directory, from which others start where it was:
 *
 *   DIR/ram         the guest's memory; sparse, never changed: restored ones map it copy-on-write
 *   DIR/state       the state of its devices
 *   DIR/root        the root image
 *   DIR/arrow.json  what it was, what it needs, and the digests of the three
 *
 * It is made as DIR.partial and renamed, so a half made one is never seen under its name.
 */

#include "core/spec/spec.h"
#include "engine/choice/choice.h"
#include "net/net.h"

struct arrow_saved {
	char *dir;
	int ram_fd, state_fd, root_fd; /* owned */
	int code_fd;                   /* translated code, likewise; -1 for none */
	char image[65];                /* digest of the root image */
	char kernel[65];               /* id of the kernel that runs in it */
	bool stdin_open;               /* the program's stdin can be given to another client */
	struct arrow_nic nics[NET_CARDS_MAX]; /* kinds only */
	unsigned int n_nics;
	struct arrow_engine_choice choice;
	struct arrow_spec spec; /* as it was started */
};

/*
 * Opens one that can be restored here: its files are whole (their digests are compared once a boot,
 * and when they changed), and the engine and the CPU are those that it was saved with.
 * The directory and its files must belong to the caller or root, and nobody else may write them;
 * what arrow_save() never writes is refused. Errors: -ENOENT (no such directory, or nothing saved
 * in it), -EPERM (somebody else may have written it), -EBADMSG (damaged, or not made by
 * arrow_save()), -ENODEV (another engine or CPU).
 */
int arrow_saved_open(struct arrow_saved *saved, const struct arrow_paths *paths,
	const struct arrow_engine_settings *settings, const char *dir,
	struct arrow_error *error) ARROW_MUST_CHECK;

void arrow_saved_release(struct arrow_saved *saved);

/*
 * Gives `spec`, which says what a restored Arrow shall have anew (name, host name, labels, streams,
 * restart...), the rest from the saved one.
 * Errors: a terminal or an input that the saved program does not have.
 */
int arrow_saved_merge(struct arrow_spec *spec, const struct arrow_saved *saved,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* A save in the making, and where the keeper is to write. */
struct arrow_saving {
	char *dir, *partial, *stream; /* the keeper writes the VM to stream */
	int partial_fd;               /* holds the lock */
};

/*
 * Makes DIR.partial, and takes away what a killed one left.
 * Errors: -EEXIST (there is something in DIR), -EBUSY (it is being saved to).
 */
int arrow_saving_begin(
	struct arrow_saving *saving, const char *dir, struct arrow_error *error) ARROW_MUST_CHECK;

/* What was written there. */
struct arrow_saved_facts {
	const struct arrow_spec *spec;
	const char *id, *name; /* of the Arrow */
	const char *kernel, *image, *engine, *accel;
	const struct arrow_engine_settings *settings;
	int root_fd;                  /* the root image */
	const struct arrow_nic *nics; /* kinds only */
	unsigned int n_nics;
	bool stdin_open;
};

/* Makes DIR of the stream. Errors: a full disk, an engine that does not take the stream. */
int arrow_saving_finish(struct arrow_saving *saving, const struct arrow_paths *paths,
	const struct arrow_saved_facts *facts, struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes what is not finished. */
void arrow_saving_end(struct arrow_saving *saving);

/*
 * Saves one that runs to a directory, from which arrow_run() starts others. It goes
 * on, or is killed once all is on the disk.
 * Errors: -ESRCH (it does not run), -EBUSY (it is paused, or has volumes), -EEXIST (there is
 * something in dir), a full disk.
 */
int arrow_save(const struct arrow_paths *paths, const char *name, const char *dir, bool stop,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
