// Which rows of a table are read: compiled once and not for each path, since it uses the standard library.
#pragma once
#include <cstdint>

namespace rnnlm {

// The rows of a table that are read, each once, in the order in which they are read first.
class RowsRead {
  public:
    // `count` ids, each in [0, rows); null: nothing is read.
    RowsRead(const int32_t* ids, long count, long rows);
    ~RowsRead();
    RowsRead(const RowsRead&) = delete;
    RowsRead& operator=(const RowsRead&) = delete;
    long distinct = 0;
    int32_t* ids;     // (distinct)
    int32_t* places;  // (count): the place in `ids` of what is read there
};

}  // namespace rnnlm
