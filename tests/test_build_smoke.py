def test_both(build):
    assert build("_build").compiled() == (build.name == "compiled")
    assert build("wire.crc64").slice_by_8(b"123456789") == 0xE9C6D914C4B8D9CA
    assert (".so" in build("wire.cursor").__file__) == (build.name == "compiled")
