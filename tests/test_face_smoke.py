def test_both(face):
    assert face("_face").compiled() == (face.name == "compiled")
    assert face("wire.crc64").slice_by_8(b"123456789") == 0xE9C6D914C4B8D9CA
    assert (".so" in face("wire.cursor").__file__) == (face.name == "compiled")
