/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_CONFIG_H
#define ARROW_KERNEL_CONFIG_H

/*
 * Profiles and configuration fragments (kernel-config/), which are a part of the program.
 *
 * A fragment is a list of CONFIG_NAME=VALUE lines and comments. A profile is a list of
 *   summary TEXT | vcpus-max N | objects N | append WORDS | fragments NAME...
 * lines, of which fragments may come more than once. The configuration of a profile is that of its
 * fragments, in order; everything that none of them names is off.
 */

#include <stddef.h>

#include "util/digest.h"
#include "util/error.h"

struct kernel_config_file {
	const char *name; /* "block.config" */
	const char *text;
};

/* Generated; ends with a NULL name. */
extern const struct kernel_config_file kernel_config_files[];

struct kernel_profile {
	char *name;
	char *summary;
	char *append;           /* what its kernels want on the command line; may be "" */
	unsigned int vcpus_max; /* 1 or more */
	unsigned int objects;   /* about how many files the compiler makes, for the progress */
	char *config;           /* its fragments, one after the other */
	char config_hash[DIGEST_HEX];
};

/*
 * Names of all profiles, NULL-terminated, the smallest kernel first. Owned by the caller
 * (strv_free). NULL when out of memory.
 */
char **kernel_profile_names(void) ARROW_MUST_CHECK;

/* Reads a profile. Errors: -ENOENT (there is none of that name: says which there are). */
int kernel_profile_load(struct kernel_profile *profile, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The same from a text and a table of fragments. Errors: -EINVAL (names the line or the fragment;
 * also for an option to which two fragments give two values).
 */
int kernel_profile_parse(struct kernel_profile *profile, const char *name, const char *text,
	const struct kernel_config_file *files, struct arrow_error *error) ARROW_MUST_CHECK;

void kernel_profile_release(struct kernel_profile *profile);

/*
 * Checks that a finished .config has each option as wanted. Errors: -EINVAL (names the first option
 * that came out otherwise).
 */
int kernel_config_verify(
	const char *wanted, const char *dotconfig, struct arrow_error *error) ARROW_MUST_CHECK;

/* What a kernel is made from. */
struct kernel_inputs {
	char *source;                 /* path of the source's archive */
	char source_hash[DIGEST_HEX]; /* of its bytes */
	char *compiler;               /* first line of `gcc --version` */
	char *binutils;               /* first line of `ld --version` */
};

/* The id of the kernel that a configuration and these inputs give. 0 or a negative errno. */
int kernel_id(const char *config_hash, const struct kernel_inputs *inputs,
	char id[DIGEST_HEX]) ARROW_MUST_CHECK;

#endif
