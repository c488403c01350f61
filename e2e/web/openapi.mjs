// Says whether a file is an OpenAPI document: node openapi.mjs FILE.
import { readFileSync } from "node:fs"
import { Validator } from "@seriousme/openapi-schema-validator"

const validator = new Validator()
const { valid, errors } = await validator.validate(JSON.parse(readFileSync(process.argv[2], "utf8")))
console.log(validator.version, valid ? "valid" : JSON.stringify(errors, null, 2))
process.exitCode = valid ? 0 : 1
