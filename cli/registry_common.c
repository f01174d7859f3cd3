// SPDX-License-Identifier: Apache-2.0
/* What the commands of arrow-registry share: its signals, its environment, how they end. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/registry.h"
#include "util/text.h"

static volatile sig_atomic_t stopped;

static void note_signal(int sig)
{
	stopped = sig;
}

void registry_take_signals(void)
{
	struct sigaction sa = {.sa_handler = note_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

volatile sig_atomic_t *registry_stop(void)
{
	return &stopped;
}

bool registry_tls_verify(const char *value, const struct argp_state *state)
{
	int verify = text_parse_bool(value);

	if (verify < 0)
		argp_error(state, "--tls-verify takes true or false, not '%s'", value);
	return verify != 0;
}

int registry_end(struct arrow_error *error)
{
	int status = cli_error(error);

	if (stopped > 0) {
		/* So that a shell sees what happened, and ends a script that called us. */
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return status;
}

/* A variable of the environment; NULL for none and for an empty one. */
static const char *read_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

struct registry_settings registry_settings_read(void)
{
	return (struct registry_settings){
		.auth_file = read_variable("REGISTRY_AUTH_FILE"),
		.docker_config = read_variable("DOCKER_CONFIG"),
		.runtime_dir = read_variable("XDG_RUNTIME_DIR"),
		.config_dir = read_variable("XDG_CONFIG_HOME"),
		.home = read_variable("HOME"),
		.authorities = read_variable("SSL_CERT_FILE"),
	};
}

int registry_http_options(struct http_options *options, bool insecure, struct arrow_error *error)
{
	const char *text = read_variable("ARROW_REGISTRY_TIMEOUT");
	char *end;
	unsigned long n;

	*options = (struct http_options){.insecure = insecure,
		.stall = REGISTRY_STALL,
		.cancel = &stopped,
		.settings = registry_settings_read()};
	if (!text)
		return 0;
	n = strtoul(text, &end, 10);
	if (*end || *text < '0' || *text > '9' || n < 1 || n > 3600)
		return arrow_fail(error, EINVAL,
			"ARROW_REGISTRY_TIMEOUT is a number of seconds from 1 to 3600, not \"%s\"",
			text);
	options->stall = (unsigned int)n;
	return 0;
}
