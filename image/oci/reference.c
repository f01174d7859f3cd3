// SPDX-License-Identifier: Apache-2.0
#include "image/oci/reference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

#define NAME_MAX_BYTES 255u
#define TAG_MAX_BYTES 128u
#define TEXT_MAX_BYTES 1024u
#define DEFAULT_DOMAIN "docker.io"
#define OLD_DEFAULT_DOMAIN "index.docker.io"
#define DEFAULT_NAMESPACE "library/"
#define DEFAULT_TAG "latest"
#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool oci_digest_is_valid(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, DIGITS "abcdef") == 64 &&
	       text[7 + 64] == '\0';
}

/* [a-z0-9]+ parts, joined by one of ".", "_", "__" or any number of "-". */
static bool is_component(const char *text, size_t size)
{
	size_t at = 0;

	for (;;) {
		size_t n = 0;

		while (at + n < size && strchr(DIGITS LOWER, text[at + n]))
			n++;
		if (n == 0)
			return false;
		at += n;
		if (at == size)
			return true;
		if (text[at] == '-')
			while (at < size && text[at] == '-')
				at++;
		else if (text[at] == '.')
			at++;
		else if (text[at] == '_')
			at += at + 1 < size && text[at + 1] == '_' ? 2 : 1;
		else
			return false;
	}
}

static bool is_path(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!is_component(path, n))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

/* A host name or address, and a port. */
static bool is_domain(const char *domain)
{
	const char *port;
	size_t n;

	if (domain[0] == '[') {
		n = strspn(domain + 1, DIGITS "abcdefABCDEF:");
		if (n == 0 || domain[1 + n] != ']')
			return false;
		port = domain + n + 2;
	} else {
		n = strspn(domain, DIGITS LOWER UPPER ".-");
		for (size_t at = 0; at < n;) {
			size_t label = strcspn(domain + at, ".:");

			if (label == 0 || domain[at] == '-' || domain[at + label - 1] == '-')
				return false;
			at += label + 1;
			if (at == n)
				return false; /* ends with a dot */
		}
		if (n == 0)
			return false;
		port = domain + n;
	}
	if (*port == '\0')
		return true;
	n = strspn(port + 1, DIGITS);
	return *port == ':' && n > 0 && n <= 5 && port[1 + n] == '\0';
}

/* What stands before the first slash, if it is a domain. */
static size_t domain_length(const char *text)
{
	size_t n = strcspn(text, "/");

	if (!text[n])
		return 0;
	if (memchr(text, '.', n) || memchr(text, ':', n) || strcspn(text, UPPER) < n ||
		(n == 9 && strncmp(text, "localhost", 9) == 0))
		return n;
	return 0;
}

static int reference_invalid(const char *text, const char *why, struct arrow_error *error)
{
	return arrow_fail(error, EINVAL, "invalid image reference '%.128s': %s", text, why);
}

/* Takes tag and digest off the end. */
static int reference_split(
	struct oci_reference *r, char *rest, const char *text, struct arrow_error *error)
{
	char *at = strchr(rest, '@'), *colon;

	if (at) {
		*at = '\0';
		if (!oci_digest_is_valid(at + 1))
			return reference_invalid(text,
				"a digest is sha256: and 64 lower case hexadecimal digits", error);
		r->digest = strdup(at + 1);
		if (!r->digest)
			return arrow_no_memory(error);
	}
	colon = strrchr(rest, ':');
	if (colon && !strchr(colon, '/')) {
		size_t n = strlen(colon + 1);

		*colon = '\0';
		if (n == 0 || n > TAG_MAX_BYTES || strchr(".-", colon[1]) ||
			strspn(colon + 1, DIGITS LOWER UPPER "_.-") != n)
			return reference_invalid(text,
				"a tag is 1 to 128 letters, digits, '_', '.' or '-', and begins with none of the last two",
				error);
		r->tag = strdup(colon + 1);
		if (!r->tag)
			return arrow_no_memory(error);
	}
	if (!r->tag && !r->digest) {
		r->tag = strdup(DEFAULT_TAG);
		if (!r->tag)
			return arrow_no_memory(error);
	}
	return 0;
}

static int reference_parse_parts(
	struct oci_reference *r, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	size_t n;
	char *path;
	int e;

	if (!copy)
		return arrow_no_memory(error);
	if (!*text)
		return reference_invalid(text, "it is empty", error);
	if (strlen(text) > TEXT_MAX_BYTES)
		return reference_invalid(text, "it is too long", error);
	e = reference_split(r, copy, text, error);
	if (e < 0)
		return e;

	n = domain_length(copy);
	path = n ? copy + n + 1 : copy;
	if (n)
		copy[n] = '\0';
	r->domain = strdup(n && strcmp(copy, OLD_DEFAULT_DOMAIN) != 0 ? copy : DEFAULT_DOMAIN);
	if (!r->domain)
		return arrow_no_memory(error);
	if (!is_domain(r->domain))
		return reference_invalid(
			text, "what stands before the first '/' is no host name", error);
	if (strcspn(path, UPPER) != strlen(path))
		return reference_invalid(text, "the name must be in lower case", error);
	if (!is_path(path))
		return reference_invalid(text,
			"a name is of lower case letters and digits, parted by '/', '.', '_', '__' or '-'",
			error);
	if (n == 0 && strlen(path) == 64 && strspn(path, DIGITS "abcdef") == 64)
		return reference_invalid(
			text, "64 hexadecimal digits are an id, not a name", error);
	r->path = path_format("%s%s",
		strcmp(r->domain, DEFAULT_DOMAIN) == 0 && !strchr(path, '/') ? DEFAULT_NAMESPACE
									     : "",
		path);
	if (!r->path)
		return arrow_no_memory(error);
	if (strlen(r->domain) + 1 + strlen(r->path) > NAME_MAX_BYTES)
		return reference_invalid(text, "the name is longer than 255 bytes", error);
	return 0;
}

int oci_reference_parse(struct oci_reference *r, const char *text, struct arrow_error *error)
{
	int e;

	*r = (struct oci_reference){0};
	e = reference_parse_parts(r, text, error);
	if (e < 0)
		oci_reference_release(r);
	return e;
}

void oci_reference_release(struct oci_reference *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct oci_reference){0};
}

char *oci_reference_name(const struct oci_reference *r)
{
	return path_format("%s/%s", r->domain, r->path);
}

char *oci_reference_format(const struct oci_reference *r)
{
	return path_format("%s/%s%s%s%s%s", r->domain, r->path, r->tag ? ":" : "",
		r->tag ? r->tag : "", r->digest ? "@" : "", r->digest ? r->digest : "");
}

char *oci_reference_familiar(const struct oci_reference *r)
{
	size_t n = strlen(DEFAULT_NAMESPACE);

	if (strcmp(r->domain, DEFAULT_DOMAIN) != 0)
		return oci_reference_name(r);
	/* "library/a/b" would be read as it stands. */
	if (strncmp(r->path, DEFAULT_NAMESPACE, n) == 0 && !strchr(r->path + n, '/'))
		return strdup(r->path + n);
	return strdup(r->path);
}
