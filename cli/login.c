// SPDX-License-Identifier: Apache-2.0
/* arrow login and arrow logout. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/registry.h"
#include "registry/client.h"
#include "registry/insecure.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define SECRET_MAX 4096

enum { OPT_STDIN = 256, OPT_TLS_VERIFY };

struct input {
	const char *host, *user, *password;
	bool from_stdin, insecure;
};

/* clang-format off */
static const struct argp_option login_options[] = {
	{"username", 'u', "USER", 0, "User name", 0},
	{"password", 'p', "PASSWORD", 0, "Password; others can see it in the list of processes", 0},
	{"password-stdin", OPT_STDIN, 0, 0, "Take the password from stdin", 0},
	{"tls-verify", OPT_TLS_VERIFY, "BOOL", OPTION_ARG_OPTIONAL, "false: take any certificate, and plain HTTP", 0},
	{0},
};
static const struct argp_option logout_options[] = {{0}};
/* clang-format on */

static error_t login_parse_option(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'u':
		in->user = arg;
		return 0;
	case 'p':
		in->password = arg;
		return 0;
	case OPT_STDIN:
		in->from_stdin = true;
		return 0;
	case OPT_TLS_VERIFY:
		in->insecure = !registry_tls_verify(arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (in->host)
			cli_argument_error(state, "takes one registry, not \"%s\" too", arg);
		in->host = arg;
		return 0;
	case ARGP_KEY_END:
		if (in->from_stdin && in->password)
			argp_error(state, "--password and --password-stdin exclude each other");
		if (in->from_stdin && !in->user)
			argp_error(state, "--password-stdin needs --username");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp login_argp = {login_options, login_parse_option, "[HOST[:PORT]]",
	"Log in to a registry, Docker Hub if none is named.\v"
	"The login is tried, then kept where docker keeps it: by the credential helper that ~/.docker/config.json names, else in that file. "
	"Docker and podman then know it, too.",
	NULL, NULL, NULL};

static const struct argp logout_argp = {logout_options, login_parse_option, "[HOST[:PORT]]",
	"Forget the login of a registry, Docker Hub if none is named.", NULL, NULL, NULL};

/* "https://registry.example/" is registry.example, as for docker. */
static char *login_read_host(const char *text)
{
	const char *scheme;

	if (!text)
		return strdup("docker.io");
	scheme = strstr(text, "://");
	if (scheme)
		text = scheme + 3;
	if (strncmp(text, "index.docker.io", 15) == 0 || strcmp(text, "registry-1.docker.io") == 0)
		return strdup("docker.io");
	return strndup(text, strcspn(text, "/"));
}

/* Asks on the terminal. */
static int login_ask(
	const char *what, bool secret, char text[SECRET_MAX], struct arrow_error *error)
{
	struct termios old, quiet;
	bool hidden = false;

	if (isatty(STDIN_FILENO) != 1)
		return arrow_fail(error, ENOTTY,
			"cannot ask for the %s: stdin is not a terminal; use --username and --password-stdin",
			what);
	fprintf(stderr, "%s: ", what);
	if (secret && tcgetattr(STDIN_FILENO, &old) == 0) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		hidden = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
	}
	if (!fgets(text, SECRET_MAX, stdin))
		text[0] = '\0';
	if (hidden) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (!text[0])
		return arrow_fail(error, EINVAL, "a login needs a %s", what);
	return 0;
}

static int login_get_password(
	const struct input *in, char text[SECRET_MAX], struct arrow_error *error)
{
	ssize_t n;

	if (in->password) {
		fputs("WARNING! --password shows the password to others on this machine; use --password-stdin\n",
			stderr);
		return text_copy(text, SECRET_MAX, in->password)
			       ? 0
			       : arrow_fail(error, E2BIG, "the password is too long");
	}
	if (!in->from_stdin)
		return login_ask("Password", true, text, error);
	n = read_full(STDIN_FILENO, text, SECRET_MAX - 1);
	if (n < 0)
		return arrow_fail(error, (int)-n, "cannot read the password: %m");
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return text[0] ? 0 : arrow_fail(error, EINVAL, "there is no password on stdin");
}

/* Tries the login: the registry's API has to answer. */
static int login_try(const struct input *in, const char *host, const struct credentials *c,
	struct arrow_error *error)
{
	struct registry_options options = {0};
	_cleanup_registry_ struct registry r = {0};
	_cleanup_credentials_ struct credentials copy = {
		.username = strdup(c->username), .password = strdup(c->password)};
	struct http *h = NULL;
	int e = registry_http_options(
		&options.http, in->insecure || registry_is_insecure(host), error);

	if (e == 0 && (!copy.username || !copy.password))
		e = arrow_no_memory(error);
	if (e == 0)
		e = http_setup(error);
	if (e == 0 && !(h = http_new(&options.http)))
		e = arrow_no_memory(error);
	if (e == 0)
		e = registry_open(&r, h, host, NULL, &copy, &options, error);
	http_free(h);
	return e;
}

static int login_run(const struct input *in, struct arrow_error *error)
{
	_cleanup_free_ char *host = login_read_host(in->host), *where = NULL;
	_cleanup_credentials_ struct credentials c = {0};
	const struct registry_settings settings = registry_settings_read();
	char user[SECRET_MAX], password[SECRET_MAX];
	bool plain = false;
	int e = 0;

	if (!host || !*host)
		return arrow_fail(error, EINVAL, "\"%s\" does not name a registry", in->host);
	if (!in->user)
		e = login_ask("Username", false, user, error);
	if (e == 0)
		e = login_get_password(in, password, error);
	if (e < 0)
		return e;
	c.username = strdup(in->user ? in->user : user);
	c.password = strdup(password);
	explicit_bzero(password, sizeof(password));
	if (!c.username || !c.password)
		return arrow_no_memory(error);
	if (strchr(c.username, ':'))
		return arrow_fail(error, EINVAL, "a user name cannot contain a colon");
	e = login_try(in, host, &c, error);
	if (e == 0)
		e = credentials_store(&c, &settings, host, &where, &plain, error);
	if (e < 0)
		return e;
	if (plain)
		fprintf(stderr,
			"WARNING! Your password is kept unencrypted in %s; a credential helper would not\n",
			where);
	puts("Login Succeeded");
	return 0;
}

int cmd_login(int argc, char **argv)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {0};

	cli_parse(&login_argp, argc, argv, 0, &in);
	return login_run(&in, &error) < 0 ? registry_end(&error) : 0;
}

int cmd_logout(int argc, char **argv)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {0};
	const struct registry_settings settings = registry_settings_read();
	_cleanup_free_ char *host = NULL;
	unsigned int n = 0;

	cli_parse(&logout_argp, argc, argv, 0, &in);
	host = login_read_host(in.host);
	if (!host)
		return CLI_FAILED;
	if (credentials_erase(&settings, host, &n, &error) < 0)
		return registry_end(&error);
	printf(n ? "Removing login credentials for %s\n" : "Not logged in to %s\n", host);
	return 0;
}
