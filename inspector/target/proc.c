/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * proc: what the lines of /proc look like (proc_pid_maps(5) and neighbours), and nothing of what
 * they mean.
 *
 * Names are the only free text, and the target chooses them: in stat the name ends at the last
 * ')', in maps a newline arrives as \012 while everything else comes as it is, so a name may
 * hold blanks, quotes and " (deleted)".
 */
#include "target/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/pool.h"
#include "model/usage.h"

int insp_proc_slurp(int dirfd, const char *path, char **ret_text, size_t *ret_len)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t len = 0, cap = 64u << 10;
	char *text;

	if (fd < 0)
		return -errno;
	text = malloc(cap);
	for (;;) {
		ssize_t n;

		if (!text) {
			rc = -ENOMEM;
			break;
		}
		n = read(fd, text + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len + 1 < cap)
			continue;
		if (cap >= INSP_PROC_MAX_BYTES) {
			rc = -EFBIG;
			break;
		}
		cap *= 2;
		char *more = realloc(text, cap);

		if (!more)
			free(text);
		text = more;
	}
	(void)close(fd);
	if (rc) {
		free(text);
		return rc;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

ssize_t insp_proc_small(int dirfd, const char *path, char *buf, size_t size_bytes)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len + 1 < size_bytes) {
		ssize_t n = read(fd, buf + len, size_bytes - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int e = errno;

			(void)close(fd);
			return -e;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	(void)close(fd);
	buf[len] = '\0';
	return (ssize_t)len;
}

/* A cursor over text: what is left. */
struct cursor {
	const char *p, *end;
};

static bool scan_number(struct cursor *c, unsigned base, uint64_t *ret)
{
	const char *from = c->p;
	uint64_t v = 0;

	for (; c->p < c->end; c->p++) {
		unsigned char ch = (unsigned char)*c->p;
		unsigned digit;

		if (ch >= '0' && ch <= '9')
			digit = ch - '0';
		else if (ch >= 'a' && ch <= 'f')
			digit = ch - 'a' + 10;
		else if (ch >= 'A' && ch <= 'F')
			digit = ch - 'A' + 10;
		else
			break;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	if (c->p == from)
		return false;
	*ret = v;
	return true;
}

static bool scan_char(struct cursor *c, char ch)
{
	if (c->p >= c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool scan_perms(struct cursor *c, struct insp_region *r)
{
	const char *p = c->p;

	if (c->end - p < 4 || (p[0] != 'r' && p[0] != '-') || (p[1] != 'w' && p[1] != '-') ||
	    (p[2] != 'x' && p[2] != '-') || (p[3] != 'p' && p[3] != 's'))
		return false;
	r->prot = (p[0] == 'r' ? INSP_PROT_READ : 0) | (p[1] == 'w' ? INSP_PROT_WRITE : 0) |
		  (p[2] == 'x' ? INSP_PROT_EXEC : 0);
	r->flags = p[3] == 's' ? INSP_REGION_SHARED : 0;
	c->p += 4;
	return true;
}

static bool starts_with(const char *name, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !memcmp(name, prefix, n);
}

static bool equals(const char *name, size_t len, const char *text)
{
	return len == strlen(text) && !memcmp(name, text, len);
}

/* Mappings whose pages are not ordinary memory: reading them may fail, hang or have effects. */
static bool is_device(const char *name, size_t len)
{
	if (starts_with(name, len, "[vvar") || starts_with(name, len, "anon_inode:"))
		return true;
	return starts_with(name, len, "/dev/") && !starts_with(name, len, "/dev/zero") &&
	       !starts_with(name, len, "/dev/shm/") && !starts_with(name, len, "/dev/hugepages/");
}

bool insp_proc_maps_line(const char *line, size_t len, struct insp_region *ret,
			 const char **ret_name, size_t *ret_name_len)
{
	static const char deleted[] = " (deleted)";
	struct cursor c = {.p = line, .end = line + len};
	struct insp_region r = {0};
	uint64_t major, minor;
	size_t n;

	if (!scan_number(&c, 16, &r.start) || !scan_char(&c, '-') || !scan_number(&c, 16, &r.end) ||
	    !scan_char(&c, ' ') || !scan_perms(&c, &r) || !scan_char(&c, ' ') ||
	    !scan_number(&c, 16, &r.offset) || !scan_char(&c, ' ') ||
	    !scan_number(&c, 16, &major) || !scan_char(&c, ':') || !scan_number(&c, 16, &minor) ||
	    !scan_char(&c, ' ') || !scan_number(&c, 10, &r.inode) || r.start >= r.end)
		return false;
	r.dev_major = (uint32_t)major;
	r.dev_minor = (uint32_t)minor;
	skip_blanks(&c);
	n = (size_t)(c.end - c.p);
	if (r.inode && n > sizeof(deleted) - 1 &&
	    !memcmp(c.end - (sizeof(deleted) - 1), deleted, sizeof(deleted) - 1)) {
		r.flags |= INSP_REGION_DELETED;
		n -= sizeof(deleted) - 1;
	}
	if (equals(c.p, n, "[heap]"))
		r.flags |= INSP_REGION_BRK;
	else if (equals(c.p, n, "[stack]"))
		r.flags |= INSP_REGION_STACK;
	else if (is_device(c.p, n))
		r.flags |= INSP_REGION_DEVICE;
	*ret = r;
	*ret_name = c.p;
	*ret_name_len = n;
	return true;
}

/* The kernel writes a newline in a name as \012 and leaves all else alone, also a backslash. */
static char *unescaped(struct insp_pool *pool, const char *name, size_t len)
{
	char *copy = insp_pool_alloc(pool, len + 1), *to = copy;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < len;) {
		if (len - i >= 4 && !memcmp(name + i, "\\012", 4)) {
			*to++ = '\n';
			i += 4;
		} else {
			*to++ = name[i++];
		}
	}
	return copy;
}

int insp_proc_maps(const char *text, size_t len, struct insp_pool *pool, struct insp_regions *ret,
		   struct insp_error *err)
{
	struct insp_regions regions = {0};
	const char *end = text + len, *line, *eol, *last_name = NULL, *last_copy = NULL;
	size_t last_len = 0;

	for (line = text; line < end; line = eol + 1, regions.cap++) {
		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			eol = end;
	}
	regions.items = insp_pool_array(pool, regions.cap ? regions.cap : 1, sizeof(*regions.items));
	if (!regions.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (line = text; line < end; line = eol + 1) {
		struct insp_region *r = &regions.items[regions.n];
		const char *name;
		size_t n;

		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			eol = end;
		if (!insp_proc_maps_line(line, (size_t)(eol - line), r, &name, &n))
			return insp_fail(err, INSP_E_CORRUPT, "maps: line %zu is not understood",
					 regions.n + 1);
		/* The file is read in pieces while mappings come and go: a line may repeat an
		   address that is already past. */
		if (regions.n && r->start < regions.items[regions.n - 1].end)
			continue;
		if (last_name && n == last_len && !memcmp(name, last_name, n)) {
			r->name = last_copy; /* a module's segments share one name */
		} else {
			r->name = last_copy = unescaped(pool, name, n);
			if (!last_copy)
				return insp_fail(err, INSP_E_NOMEM, "out of memory");
			last_name = name;
			last_len = n;
		}
		regions.n++;
	}
	*ret = regions;
	return 0;
}

/* Behind "Key:" at the start of a line, blanks skipped. */
static bool find_field(const char *text, const char *key, struct cursor *ret)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!strncmp(line, key, n) && line[n] == ':') {
			ret->p = line + n + 1;
			ret->end = strchrnul(ret->p, '\n');
			skip_blanks(ret);
			return true;
		}
	}
	return false;
}

bool insp_proc_field(const char *text, const char *key, uint64_t *ret)
{
	struct cursor c;

	return find_field(text, key, &c) && scan_number(&c, 10, ret);
}

bool insp_proc_field_hex(const char *text, const char *key, uint64_t *ret)
{
	struct cursor c;

	return find_field(text, key, &c) && scan_number(&c, 16, ret);
}

bool insp_proc_field_bytes(const char *text, const char *key, uint64_t *ret)
{
	uint64_t kib;

	if (!insp_proc_field(text, key, &kib) || __builtin_mul_overflow(kib, 1024, &kib))
		return false;
	*ret = kib;
	return true;
}

bool insp_proc_field_last(const char *text, const char *key, uint64_t *ret, unsigned *ret_n)
{
	struct cursor c;
	uint64_t v;
	unsigned n = 0;

	if (!find_field(text, key, &c))
		return false;
	while (scan_number(&c, 10, &v)) {
		n++;
		skip_blanks(&c);
	}
	if (!n)
		return false;
	*ret = v;
	*ret_n = n;
	return true;
}

bool insp_proc_stat(const char *text, struct insp_proc_stat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct cursor c = {.p = text, .end = text + strlen(text)};
	struct insp_proc_stat s = {0};
	uint64_t pid, v[23] = {0};
	size_t n;

	if (!open || !close || close < open || !scan_number(&c, 10, &pid))
		return false;
	n = (size_t)(close - open - 1);
	if (n >= sizeof(s.comm))
		n = sizeof(s.comm) - 1;
	memcpy(s.comm, open + 1, n);
	c.p = close + 1;
	if (!scan_char(&c, ' ') || c.p >= c.end)
		return false;
	s.state = *c.p++;
	for (int field = 4; field <= 22; field++) { /* numbered as in proc_pid_stat(5) */
		bool minus;

		if (!scan_char(&c, ' '))
			return false;
		minus = scan_char(&c, '-');
		if (!scan_number(&c, 10, &v[field]))
			return false;
		if (minus)
			v[field] = 0;
	}
	s.pid = (int)pid;
	s.ppid = (int)v[4];
	s.flags = (uint32_t)v[9];
	s.minor_faults = v[10];
	s.major_faults = v[12];
	s.utime = v[14];
	s.stime = v[15];
	s.nthreads = v[20];
	s.start_ticks = v[22];
	*ret = s;
	return true;
}

uint64_t insp_proc_time_of_ticks(uint64_t ticks)
{
	struct timespec now, up;
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t since;

	if (hz <= 0 || clock_gettime(CLOCK_REALTIME, &now) || clock_gettime(CLOCK_BOOTTIME, &up) ||
	    __builtin_mul_overflow(ticks, UINT64_C(1000000000) / (uint64_t)hz, &since))
		return 0;
	return ((uint64_t)now.tv_sec - (uint64_t)up.tv_sec) * 1000000000 + (uint64_t)now.tv_nsec -
	       (uint64_t)up.tv_nsec + since;
}

static bool scan_0x(struct cursor *c, uint64_t *ret)
{
	skip_blanks(c);
	return scan_char(c, '0') && scan_char(c, 'x') && scan_number(c, 16, ret);
}

bool insp_proc_syscall(const char *text, struct insp_proc_syscall *ret)
{
	struct insp_proc_syscall s = {.number = -1};
	struct cursor c = {.p = text, .end = text + strlen(text)};
	uint64_t nr;

	if (!strncmp(text, "running", 7)) {
		s.running = true;
		*ret = s;
		return true;
	}
	if (scan_char(&c, '-')) {
		if (!scan_number(&c, 10, &nr))
			return false;
	} else {
		if (!scan_number(&c, 10, &nr) || nr > INT32_MAX)
			return false;
		s.number = (int64_t)nr;
		for (int i = 0; i < 6; i++)
			if (!scan_0x(&c, &s.args[i]))
				return false;
	}
	if (!scan_0x(&c, &s.sp) || !scan_0x(&c, &s.pc))
		return false;
	*ret = s;
	return true;
}

enum insp_page_state insp_proc_page_state(uint64_t entry, bool file)
{
	if (entry >> 63 & 1)
		return INSP_PAGE_PRESENT;
	if (entry >> 62 & 1)
		return INSP_PAGE_SWAPPED;
	return file ? INSP_PAGE_FILE : INSP_PAGE_ABSENT;
}

#define FIELD(key, member) {key, sizeof(key) - 1, offsetof(struct insp_region_usage, member)}
static const struct smaps_field {
	const char *key;
	size_t len, offset;
} smaps_fields[] = {
	FIELD("Rss:", rss),
	FIELD("Pss:", pss),
	FIELD("Shared_Clean:", shared_clean),
	FIELD("Shared_Dirty:", shared_dirty),
	FIELD("Private_Clean:", private_clean),
	FIELD("Private_Dirty:", private_dirty),
	FIELD("Referenced:", referenced),
	FIELD("Anonymous:", anonymous),
	FIELD("LazyFree:", lazy_free),
	FIELD("AnonHugePages:", anon_huge),
	FIELD("ShmemPmdMapped:", shmem_huge),
	FIELD("FilePmdMapped:", file_huge),
	FIELD("Shared_Hugetlb:", hugetlb_shared),
	FIELD("Private_Hugetlb:", hugetlb_private),
	FIELD("Swap:", swap),
	FIELD("SwapPss:", swap_pss),
	FIELD("Locked:", locked),
};

static void smaps_line(const char *line, const char *eol, struct insp_region_usage *u)
{
	for (size_t i = 0; i < sizeof(smaps_fields) / sizeof(smaps_fields[0]); i++) {
		const struct smaps_field *f = &smaps_fields[i];
		struct cursor c = {.p = line + f->len, .end = eol};
		uint64_t kib;

		if ((size_t)(eol - line) <= f->len || memcmp(line, f->key, f->len))
			continue;
		skip_blanks(&c);
		if (scan_number(&c, 10, &kib) && !__builtin_mul_overflow(kib, 1024, &kib))
			memcpy((char *)u + f->offset, &kib, sizeof(kib));
		return;
	}
}

static void usage_unknown(struct insp_region_usage *u)
{
	for (size_t i = 0; i < sizeof(smaps_fields) / sizeof(smaps_fields[0]); i++)
		memset((char *)u + smaps_fields[i].offset, 0xff, sizeof(uint64_t));
}

int insp_proc_smaps(const char *text, size_t len, struct insp_pool *pool, struct insp_usage *usage,
		    struct insp_error *err)
{
	const char *end = text + len, *eol;
	size_t n = 0, cap = 0;
	struct insp_region_usage *items = NULL, *now = NULL;
	struct insp_region region;
	const char *name;
	size_t name_len;

	/* A header line is the only kind that starts with a lower-case digit of an address. */
	for (int pass = 0; pass < 2; pass++) {
		if (pass) {
			items = insp_pool_array(pool, cap ? cap : 1, sizeof(*items));
			if (!items)
				return insp_fail(err, INSP_E_NOMEM, "out of memory");
		}
		for (const char *line = text; line < end; line = eol + 1) {
			eol = memchr(line, '\n', (size_t)(end - line));
			if (!eol)
				eol = end;
			if ((*line < 'A' || *line > 'Z') &&
			    insp_proc_maps_line(line, (size_t)(eol - line), &region, &name,
						&name_len)) {
				if (!pass) {
					cap++;
				} else if (!n || region.start >= items[n - 1].end) {
					now = &items[n++];
					usage_unknown(now);
					now->start = region.start;
					now->end = region.end;
				} else {
					now = NULL;
				}
			} else if (pass && now) {
				smaps_line(line, eol, now);
			}
		}
	}
	usage->items = items;
	usage->n = n;
	usage->cap = cap;
	return 0;
}

static const char *cgroup_copy(const char *from, const char *eol, char *buf, size_t size_bytes)
{
	size_t n = (size_t)(eol - from);

	if (n >= size_bytes)
		return NULL;
	memcpy(buf, from, n);
	buf[n] = '\0';
	return buf;
}

/* One of the comma-separated words of [p, end)? */
static bool has_word(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));

		if (!comma)
			comma = end;
		if ((size_t)(comma - p) == n && !memcmp(p, word, n))
			return true;
		p = comma + 1;
	}
	return false;
}

const char *insp_proc_cgroup(const char *text, bool *ret_v2, char *buf, size_t size_bytes)
{
	const char *v2 = NULL, *v2_end = NULL;

	for (const char *line = text, *eol; *line; line = *eol ? eol + 1 : eol) {
		const char *colon = strchr(line, ':'), *path;

		eol = strchrnul(line, '\n');
		if (!colon || colon >= eol)
			continue;
		path = memchr(colon + 1, ':', (size_t)(eol - colon - 1));
		if (!path)
			continue;
		if (path == colon + 1) {
			v2 = path + 1;
			v2_end = eol;
		} else if (has_word(colon + 1, path, "memory")) {
			*ret_v2 = false;
			return cgroup_copy(path + 1, eol, buf, size_bytes);
		}
	}
	if (!v2)
		return NULL;
	*ret_v2 = true;
	return cgroup_copy(v2, v2_end, buf, size_bytes);
}
