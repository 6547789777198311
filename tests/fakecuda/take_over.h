// Leads the CUDA runtime that CuPy was linked with to the functions of runtime.h.
//
// CuPy links it statically, and it talks to a driver by tables that are documented nowhere. But its
// functions are in the symbol table of the object: each is overwritten with a jump.
#pragma once

#include <dlfcn.h>
#include <link.h>

#include "runtime.h"

namespace {

cudaError_t unsupported(const char *name) {
    std::fprintf(stderr, "tests/fakecuda: CuPy calls %s, which runtime.h does not have\n", name);
    return fail(cudaErrorNotSupported, "runtime.h has no %s", name);
}

// The function that answers for a function of the runtime, or null.
void *answer(void *driver, std::string name) {
    const std::string revised = "_v2";  // CUDA 12 has a few in two revisions; CuPy calls the second
    if (name.size() > 3 && name.substr(name.size() - 3) == revised) name.resize(name.size() - 3);
    return dlsym(driver, ("fake_" + name).c_str());
}

// x86-64: mov rdi, first; mov rax, target; jmp rax. Without `first` all arguments stay as they are.
std::string jump(const void *target, const char *first = nullptr) {
    std::string code;
    const auto move = [&](const char *instruction, const void *value) {
        code += instruction;
        code.append(reinterpret_cast<const char *>(&value), sizeof value);
    };
    if (first != nullptr) move("\x48\xbf", first);
    move("\x48\xb8", target);
    return code + "\xff\xe0";
}

std::string read_file(const char *path) {
    std::string content;
    char part[1 << 16];
    if (std::FILE *file = std::fopen(path, "rb")) {
        while (const size_t size = std::fread(part, 1, sizeof part, file))
            content.append(part, size);
        std::fclose(file);
    }
    return content;
}

void overwrite(char *at, const std::string &code) {
    char *page = at - reinterpret_cast<size_t>(at) % PAGE;
    const size_t size = static_cast<size_t>(at - page) + code.size();
    mprotect(page, size, PROT_READ | PROT_WRITE | PROT_EXEC);
    std::memcpy(at, code.data(), code.size());
    mprotect(page, size, PROT_READ | PROT_EXEC);
}

}  // namespace

// The object at `path` is loaded, and has not called the runtime yet. Returns how many of its
// functions have an answer.
extern "C" int fakecuda_take_over(const char *path) {
    Dl_info here;
    dladdr(reinterpret_cast<void *>(fakecuda_take_over), &here);
    void *driver = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    const auto *object = static_cast<link_map *>(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
    const auto *content = new std::string(read_file(path));  // kept for its names
    const Elf elf(content->data());
    if (driver == nullptr || object == nullptr || !elf.is_whole()) return 0;
    int answered = 0;
    elf.symbols([&](const char *name, const Elf64_Sym &symbol) {
        if (std::strncmp(name, "cuda", 4) != 0 || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) return;
        const void *target = answer(driver, name);
        const std::string code =
            target ? jump(target) : jump(reinterpret_cast<void *>(unsupported), name);
        if (symbol.st_size < code.size()) return;
        overwrite(reinterpret_cast<char *>(object->l_addr + symbol.st_value), code);
        answered += target != nullptr;
    });
    return answered;
}
