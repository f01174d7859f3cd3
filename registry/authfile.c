// SPDX-License-Identifier: Apache-2.0
/* What stands in docker's and podman's credential files, and what helpers answer. */
#include "registry/credentials.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

#define HELPER_NAME_MAX 64u
#define SECRET_MAX (64u * 1024)

static void authfile_wipe(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

void credentials_release(struct credentials *c)
{
	free(c->username);
	authfile_wipe(c->password);
	authfile_wipe(c->token);
	free(c->source);
	*c = (struct credentials){0};
}

/* A string of an object that holds no control character; NULL for none or an empty one. */
static const char *plain_string(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);

	if (!text || n == 0 || n > SECRET_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return NULL;
	return text;
}

/* "auth" without the line breaks that tools put into base64; NULL for none. */
static char *auth_string(const json_t *entry)
{
	const json_t *value = json_object_get(entry, "auth");
	size_t n = json_string_length(value), k = 0;
	char *text;

	if (!json_is_string(value) || n == 0 || n > SECRET_MAX)
		return NULL;
	text = calloc(1, n + 1);
	for (size_t i = 0; text && i < n; i++)
		if (!strchr("\r\n", json_string_value(value)[i]))
			text[k++] = json_string_value(value)[i];
	return text;
}

/* Parts base64(user:password). Returns 1, 0 for what is not that, or -ENOMEM. */
static int parse_auth(struct credentials *c, const char *auth)
{
	size_t n = strlen(auth), pad = 0;
	_cleanup_free_ unsigned char *text = NULL;
	char *colon;
	int size;

	if (n == 0 || n % 4 != 0 || n > SECRET_MAX)
		return 0;
	while (pad < 2 && auth[n - 1 - pad] == '=')
		pad++;
	text = calloc(1, n / 4 * 3 + 1);
	if (!text)
		return -ENOMEM;
	size = EVP_DecodeBlock(text, (const unsigned char *)auth, (int)n);
	if (size < (int)pad)
		return 0;
	size -= (int)pad;
	/* As docker reads it: zeros at the end are not of the password. */
	while (size > 0 && text[size - 1] == '\0')
		size--;
	text[size] = '\0';
	colon = strchr((char *)text, ':');
	/* A NUL or a line break has no place in a header. */
	if (!colon || colon == (char *)text || strlen((char *)text) != (size_t)size ||
		strpbrk((char *)text, "\r\n"))
		return 0;
	*colon = '\0';
	c->username = strdup((char *)text);
	c->password = strdup(colon + 1);
	OPENSSL_cleanse(text, (size_t)size);
	if (!c->username || !c->password) {
		credentials_release(c);
		return -ENOMEM;
	}
	return 1;
}

/* An entry of "auths". An empty one stands for "the helper knows". */
static int parse_entry(struct credentials *c, const json_t *entry)
{
	_cleanup_free_ char *auth = auth_string(entry);
	const char *token = plain_string(entry, "identitytoken");
	const char *user = plain_string(entry, "username");
	const char *password = plain_string(entry, "password");
	int r = 0;

	if (auth) {
		r = parse_auth(c, auth);
		OPENSSL_cleanse(auth, strlen(auth));
	}
	if (r == 0 && user && password) {
		c->username = strdup(user);
		c->password = strdup(password);
		r = c->username && c->password ? 1 : -ENOMEM;
	}
	if (r >= 0 && token) {
		c->token = strdup(token);
		r = c->token ? 1 : -ENOMEM;
	}
	if (r <= 0)
		credentials_release(c);
	return r;
}

/* Docker's old keys are URLs: https://registry.example/v1/ is registry.example. */
static bool key_is(const char *key, const char *host)
{
	size_t n = strlen(host);
	const char *scheme = strstr(key, "://");

	if (strcmp(host, "docker.io") == 0)
		return strcmp(key, CREDENTIALS_DOCKER_HUB) == 0 || strcmp(key, host) == 0;
	if (!scheme)
		return strcmp(key, host) == 0;
	key = scheme + 3;
	return strncmp(key, host, n) == 0 && (key[n] == '\0' || key[n] == '/');
}

/* The entry of the longest part of host/repository that has one, as podman takes it. */
static const json_t *find_entry(const json_t *auths, const char *host, const char *repository)
{
	_cleanup_free_ char *path =
		repository ? path_format("%s/%s", host, repository) : strdup(host);
	const char *key;
	json_t *entry;
	char *slash;

	while (path && (slash = strrchr(path, '/'))) {
		entry = json_object_get(auths, path);
		if (json_is_object(entry))
			return entry;
		*slash = '\0';
	}
	entry = json_object_get(auths, host);
	if (json_is_object(entry))
		return entry;
	json_object_foreach ((json_t *)auths, key, entry) {
		if (key_is(key, host) && json_is_object(entry))
			return entry;
	}
	return NULL;
}

/* A helper's name becomes part of a program's name, so it is no path. */
static bool is_helper_name(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return n > 0 && n <= HELPER_NAME_MAX && !strchr(name, '/') && name[0] != '.';
}

static const char *find_helper(const json_t *file, const char *host)
{
	const json_t *helpers = json_object_get(file, "credHelpers");
	const char *name = plain_string(helpers, host);

	if (!name && strcmp(host, "docker.io") == 0)
		name = plain_string(helpers, CREDENTIALS_DOCKER_HUB);
	if (!name)
		name = plain_string(file, "credsStore");
	return is_helper_name(name) ? name : NULL;
}

int credentials_parse(struct credentials *c, const char *text, size_t size, const char *host,
	const char *repository, char **helper)
{
	json_t *file = json_loadb(text, size, 0, NULL);
	const json_t *entry;
	const char *name;
	int r = 0;

	*helper = NULL;
	*c = (struct credentials){0};
	if (!json_is_object(file)) {
		json_decref(file);
		return -EINVAL;
	}
	name = find_helper(file, host);
	if (name) {
		*helper = strdup(name);
		r = *helper ? 1 : -ENOMEM;
	} else {
		entry = find_entry(json_object_get(file, "auths"), host, repository);
		if (entry)
			r = parse_entry(c, entry);
	}
	json_decref(file);
	return r;
}

int credentials_parse_helper(struct credentials *c, const char *text, size_t size)
{
	json_t *answer = json_loadb(text, size, 0, NULL);
	const char *user = plain_string(answer, "Username");
	const char *secret = plain_string(answer, "Secret");
	int r = -EINVAL;

	*c = (struct credentials){0};
	if (json_is_object(answer) && !secret) {
		r = 0;
	} else if (user && strcmp(user, "<token>") == 0) {
		c->token = strdup(secret);
		r = c->token ? 1 : -ENOMEM;
	} else if (user && !strchr(user, ':')) {
		c->username = strdup(user);
		c->password = strdup(secret);
		r = c->username && c->password ? 1 : -ENOMEM;
	}
	if (r < 0)
		credentials_release(c);
	json_decref(answer);
	return r;
}
