/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * meminspect.h: the commands of meminspect for other programs, such as a debugger.
 *
 *     struct meminspect *m;
 *     char error[256];
 *     struct meminspect_output out = {.size_bytes = sizeof(out), .write = my_write};
 *
 *     if (meminspect_open("1234", &m, error, sizeof(error)) == MEMINSPECT_OK) {
 *             if (meminspect_run(m, "heap summary --format json", &out))
 *                     fprintf(stderr, "%s\n", meminspect_error(m));
 *             meminspect_close(m);
 *     }
 *
 * Addresses are the target's, sizes are bytes, times are nanoseconds. Strings that the library
 * gives live as long as their header says; those that it takes are borrowed for the call. A
 * session belongs to one thread at a time. What goes wrong with the target or the words is a return
 * value: the library never prints, exits or raises a signal.
 *
 * Structures begin with their own size, which the caller sets: later versions may append members.
 */
#ifndef MEMINSPECT_MEMINSPECT_H
#define MEMINSPECT_MEMINSPECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rises when something is added; the soname changes when something is taken away. */
#define MEMINSPECT_API 2

#if defined(__GNUC__)
#define MEMINSPECT_EXPORT __attribute__((visibility("default")))
#else
#define MEMINSPECT_EXPORT
#endif

/* The exit codes of the command line. */
enum meminspect_status {
	MEMINSPECT_OK = 0,
	MEMINSPECT_ERROR = 1,
	MEMINSPECT_USAGE = 2,	  /* the words are wrong */
	MEMINSPECT_THRESHOLD = 3, /* a limit given with --fail-on was crossed; there is a result */
	MEMINSPECT_TARGET = 4	  /* the target is gone or may not be inspected */
};

struct meminspect; /* a session */

/* "0.1.0", and MEMINSPECT_API as the library was built. */
MEMINSPECT_EXPORT const char *meminspect_version(void);
MEMINSPECT_EXPORT int meminspect_api(void);

/*
 * Opens a process by pid or name, a core file or a saved snapshot. A process runs on; a command
 * that needs a snapshot stops it for a moment. Returns enum meminspect_status; on failure a line is
 * put into error (may be NULL) and *ret is untouched.
 */
MEMINSPECT_EXPORT int meminspect_open(const char *spec, struct meminspect **ret, char *error,
				      size_t error_bytes);

/*
 * The same for a core whose files are not where it says: the program, and a folder that its paths
 * begin in or that holds the files side by side. NULL or "": at their own places.
 */
MEMINSPECT_EXPORT int meminspect_open_core(const char *path, const char *exe, const char *sysroot,
					   struct meminspect **ret, char *error,
					   size_t error_bytes);

/* ---- a target that somebody else holds: a debugger's inferior */

enum meminspect_prot {
	MEMINSPECT_READ = 1,
	MEMINSPECT_WRITE = 2,
	MEMINSPECT_EXEC = 4,
	MEMINSPECT_SHARED = 8
};

struct meminspect_region {
	size_t size_bytes;    /* of this struct */
	uint64_t start, end;  /* [start, end), multiples of the page size */
	uint64_t offset;      /* in the file */
	uint64_t inode;	      /* 0: anonymous, or not known and name is no path */
	uint32_t prot;	      /* enum meminspect_prot */
	const char *name;     /* path, "[heap]", "[stack]", or NULL */
};

/* DWARF numbers of x86-64: rax rdx rcx rbx rsi rdi rbp rsp r8 ... r15 rip. */
#define MEMINSPECT_NREGS 17

struct meminspect_thread {
	size_t size_bytes;
	int tid;
	const char *name;     /* NULL: unknown */
	int have_regs;
	uint64_t regs[MEMINSPECT_NREGS];
	int64_t orig_rax;     /* the system call it is in, or -1 */
	uint64_t fs_base;     /* 0: unknown */
};

/*
 * What the library asks the holder of the target for. The target must stand still while a command
 * runs. Callbacks return 0 or more; a negative value is a failure.
 */
struct meminspect_host {
	size_t size_bytes;
	void *ctx;	      /* first argument of every callback */
	const char *kind;     /* "gdb": shown as the kind of the target */
	int pid;	      /* 0: none, as with a core */
	const char *name;     /* of the program, at most 15 characters are kept */
	uint32_t page_size;   /* 0: 4096 */

	/* Reads memory. Returns the bytes read, from addr on, up to the first that cannot be. */
	size_t (*read)(void *ctx, uint64_t addr, void *buf, size_t size_bytes);
	/* Calls add for each mapping, in rising order. */
	int (*regions)(void *ctx, void (*add)(void *to, const struct meminspect_region *region), void *to);
	/* Calls add for each thread. NULL: threads are not known. */
	int (*threads)(void *ctx, void (*add)(void *to, const struct meminspect_thread *thread), void *to);
	/* Opens the file of a mapping for reading: gives a descriptor. NULL: by its path. */
	int (*open_file)(void *ctx, const char *path);
};

/* Borrows host and what it points to until meminspect_close. Otherwise like meminspect_open. */
MEMINSPECT_EXPORT int meminspect_open_host(const struct meminspect_host *host, struct meminspect **ret,
					   char *error, size_t error_bytes);

/*
 * Opens a process that the calling thread traces already, and that stands still: a debugger's
 * native inferior. Nothing is stopped. Commands must be run from the thread that traces.
 */
MEMINSPECT_EXPORT int meminspect_open_inferior(int pid, struct meminspect **ret, char *error,
					       size_t error_bytes);

/* The host let the target run, or changed it: what was found out is forgotten. */
MEMINSPECT_EXPORT void meminspect_invalidate(struct meminspect *session);

/* Ends the session, lets a process go. Accepts NULL. */
MEMINSPECT_EXPORT void meminspect_close(struct meminspect *session);

/* ---- commands */

struct meminspect_output {
	size_t size_bytes;
	void *ctx;
	/* Takes all the bytes, or returns a negative value: the command then ends early. */
	int (*write)(void *ctx, const char *bytes, size_t size);
	const char *format;   /* "text", "json", "csv"; NULL: text. --format in the line wins */
	unsigned width;	      /* columns that text may use; 0: no limit */
	int color, utf8;      /* text may use escape sequences, characters beyond ASCII */
};

/*
 * Runs one line, as at the prompt: "heap chunks --min 1M". With -o FILE the result goes there.
 * Returns enum meminspect_status; meminspect_error tells more.
 */
MEMINSPECT_EXPORT int meminspect_run(struct meminspect *session, const char *line,
				     const struct meminspect_output *output);

/* The line about the last failure; "" after a success. Valid until the next call. */
MEMINSPECT_EXPORT const char *meminspect_error(const struct meminspect *session);

/* Ends the running command of any session soon. Async-signal-safe. */
MEMINSPECT_EXPORT void meminspect_interrupt(void);

struct meminspect_command {
	const char *name;     /* "heap summary" */
	const char *group, *summary, *help, *example;
	int in_debugger;      /* makes sense with meminspect_open_host */
};

/* The i-th command, strings valid for ever. 0, or -1 behind the last. */
MEMINSPECT_EXPORT int meminspect_command(size_t i, struct meminspect_command *ret);

/* Calls add for each word that may complete `word` behind the text `before`. session may be NULL. */
MEMINSPECT_EXPORT void meminspect_complete(struct meminspect *session, const char *before, const char *word,
					   void (*add)(void *to, const char *word), void *to);

enum meminspect_log_level {
	MEMINSPECT_LOG_DEBUG,
	MEMINSPECT_LOG_INFO,	/* "stopped for 4.1 ms" */
	MEMINSPECT_LOG_WARN,
	MEMINSPECT_LOG_PROGRESS /* text is the phase, part of whole is done; whole 0: unknown */
};

/* Remarks and progress of all sessions; NULL: nobody listens. Other threads may call it. */
MEMINSPECT_EXPORT void meminspect_set_log(void (*fn)(void *ctx, enum meminspect_log_level level,
						     const char *text, uint64_t part, uint64_t whole),
					  void *ctx);

#ifdef __cplusplus
}
#endif
#endif
