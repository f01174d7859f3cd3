/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_REGISTRY_H
#define ARROW_CLI_REGISTRY_H

/* What the commands of arrow-registry share. */

#include <errno.h>
#include <signal.h>

#include "cli/input/options.h"
#include "cli/output/print.h"
#include "registry/http.h"

#define REGISTRY_STALL 30u /* seconds, if ARROW_REGISTRY_TIMEOUT does not say otherwise */

int cmd_pull(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_logout(int argc, char **argv);

/* From now on signals that end the program are noted. */
void registry_take_signals(void);

/* Where they are noted: the number of the signal, or 0. */
volatile sig_atomic_t *registry_stop(void);

/* Prints the error. Returns the status to exit with, or dies of the signal that was the reason. */
int registry_end(struct arrow_error *error);

/* The value of --tls-verify, true for none. Anything else than true or false ends the command. */
bool registry_tls_verify(const char *value, const struct argp_state *state);

/* The files of the user, by the environment. */
struct registry_settings registry_settings_read(void);

/* Fills in how hosts are spoken to. Errors: ARROW_REGISTRY_TIMEOUT. */
int registry_http_options(
	struct http_options *options, bool insecure, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
